//! Which server, location and URI a request comes to, by nginx's rules: pure, so that sessions follow them and `explain` tells them.
//!
//! A request's way: [`steps::advance`] runs the server's rewrite rules, finds a location ([`locate`]), runs its rules ([`rules`]), and looks
//! again where they changed the URI. What it came to is kept in a [`Course`].

pub mod course;
pub mod edits;
pub mod head;
pub mod locate;
mod maps;
pub mod pages;
pub mod place;
pub mod rules;
pub mod source;
pub mod steps;
pub mod tried;
pub mod uri;

#[cfg(test)]
mod tests;

pub use course::Course;
pub use edits::Edits;
pub use source::{Connection, Source};
