//! Compression of bodies on their way: which ones, and in which coding ([`choose`]), and the coding itself ([`Coder`]).
//!
//! Whoever answers asks [`choose`], says what the [`Verdict`] wants in the head (Content-Encoding instead of Content-Length, a weak ETag,
//! no Accept-Ranges, Vary: `proto::rewrite` does so for backends' answers), and sends the body through a [`Coder`].

mod choose;
mod coder;

pub use choose::{Asked, Chosen, Offered, Verdict, choose, is_candidate, time};
pub use coder::{Coder, Goal, Step};
