//! What nginx guides teach, imported and run: the configurations that their readers have on disk (`conf/`), before the servers that
//! those readers have (Flask under gunicorn, Python's http.server, files). What is said of a site here holds in nginx too, which runs
//! the same where it is installed.

#[path = "../support/mod.rs"]
mod support;

mod apps;
mod backends;
mod broken;
mod files;
mod groups;
mod secure;
mod site;
