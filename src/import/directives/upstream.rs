//! What stands in `upstream`, of HTTP and of stream.

use super::Fate::{Lost, Own, Unneeded};
use super::{Rule, row};

/// In the order of their names.
pub(super) const ROWS: &[Rule] = &[
    row("hash", "u", "1-2", Own),
    row("hash", "w", "1-2", Own),
    row("ip_hash", "u", "0", Own),
    row("keepalive", "u", "1-2", Own),
    row("keepalive_requests", "u", "1", Unneeded("a server ends its connections when it likes")),
    row("keepalive_time", "u", "1", Unneeded("a server ends its connections when it likes")),
    row("keepalive_timeout", "u", "1", Own),
    row("least_conn", "u", "0", Own),
    row("least_conn", "w", "0", Own),
    row("least_time", "u", "1-2", Own),
    row("least_time", "w", "1-2", Own),
    row("random", "u", "0-2", Own),
    row("random", "w", "0-2", Own),
    row("resolver", "u", "1+", Lost("name servers are named once for the whole file")),
    row("resolver", "w", "1+", Lost("name servers are named once for the whole file")),
    row("resolver_timeout", "u", "1", Unneeded("names are looked up while requests go on")),
    row("resolver_timeout", "w", "1", Unneeded("names are looked up while requests go on")),
    row("server", "u", "1+", Own),
    row("server", "w", "1+", Own),
    row("sticky", "u", "2+", Own),
    row("zone", "u", "1-2", Unneeded("shared by all workers anyway")),
    row("zone", "w", "1-2", Unneeded("shared by all workers anyway")),
];
