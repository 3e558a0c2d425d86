//! TCP for one client connection: not yet, it is closed.

use super::Context;
use crate::ring::{Descriptor, Driver};
use std::rc::Rc;

/// Serves one client connection to its end.
pub async fn serve<D: Driver>(cx: Rc<Context<D>>, descriptor: Descriptor, _listener: usize) {
    drop(cx.reactor.adopt(descriptor));
}
