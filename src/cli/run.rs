//! `ringgate run`: a configuration, until a signal ends it.

use super::{fail, locate, serve, tell};
use crate::config;
use crate::log::Level;
use std::path::Path;
use std::process::ExitCode;

/// Loads and runs. Nothing runs unless everything loads.
pub fn run(config: Option<&Path>) -> ExitCode {
    let path = match locate::find_config(config) {
        Ok(path) => path,
        Err(error) => return fail(error),
    };
    match config::load(&path) {
        Ok(loaded) => {
            loaded.warnings.iter().for_each(|warning| tell(warning.trim_end()));
            serve(loaded.plan, Some(path), Level::Info, |_| || ())
        }
        Err(errors) => {
            tell(errors.to_string().trim_end());
            fail(format_args!("{} has errors; nothing was started", path.display()))
        }
    }
}
