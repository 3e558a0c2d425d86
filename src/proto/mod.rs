//! Protocols without I/O: bytes and time come as arguments, decisions go out as values.
//!
//! A request's way through this room: `request::parse` finds the head's fields, `Request::inspect` decides framing and
//! route (`framing`, `target`), `rewrite` writes the head anew for the other side, and `body` takes the body out of one
//! framing and puts it into another. Responses come back the same way; `page` answers when nobody else does. What stands before
//! a request: `proxy_protocol`, then `client_hello`.
//! Nothing here allocates for a request of the usual form.
pub mod accept_encoding;
pub mod authorization;
pub mod body;
mod chunked;
pub mod client_hello;
pub mod content;
pub mod fields;
pub mod framing;
pub mod page;
pub mod proxy_protocol;
pub mod real_ip;
pub mod reason;
pub mod request;
pub mod response;
pub mod rewrite;
pub mod sticky;
pub mod target;
pub mod variables;
pub mod writer;

#[cfg(test)]
mod testing;
