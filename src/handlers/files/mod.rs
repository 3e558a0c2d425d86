//! Static files: what is decided about them (`conditional`, `range`, `etag`, `mime`, `coding`, `autoindex`), and how they are opened and
//! kept open (`shelf`, `cache`). Whatever a path says, nothing outside of its root is opened: the kernel sees to that.
pub mod autoindex;
pub mod cache;
pub mod coding;
pub mod conditional;
pub mod etag;
pub mod listing;
pub mod mime;
pub mod range;
pub mod shelf;
