//! nginx's configurations: those of guides are taken, broken ones are refused where nginx refuses them, and nothing is lost in silence.

#[path = "../cli/started.rs"]
mod started;
#[path = "../support/mod.rs"]
mod support;

mod beside_nginx;
mod command;
mod guides;
