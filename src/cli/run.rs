//! `ringgate run`: a configuration, until a signal ends it.

use super::{fail, import, locate, serve, tell};
use crate::config;
use crate::control::logs::level;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The options.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The configuration [default: ./ringgate.toml if it exists, else /etc/ringgate/ringgate.toml]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Run nginx's own configuration, as `ringgate import nginx` understands it; it cannot be reloaded
    #[arg(long, value_name = "PATH", conflicts_with = "config")]
    nginx: Option<PathBuf>,
    /// The admin socket of what --nginx runs, or "off" [default: that of a configuration that names none]
    #[arg(long, value_name = "PATH", requires = "nginx")]
    admin: Option<PathBuf>,
    #[command(flatten)]
    how: import::How,
}

/// Loads and runs. Nothing runs unless everything loads.
pub fn run(arguments: &Arguments) -> ExitCode {
    match &arguments.nginx {
        Some(path) => match import::load(path, &arguments.how) {
            Ok(mut loaded) => {
                if let Some(admin) = &arguments.admin {
                    loaded.plan.admin = Some(admin.clone()).filter(|admin| admin != Path::new("off"));
                }
                let least = level(loaded.plan.error_log_level);
                serve(loaded.plan, None, least, |_| || ())
            }
            Err(code) => code,
        },
        None if arguments.how.lossy || arguments.how.prefix.is_some() => {
            fail("--lossy and --prefix are for --nginx PATH")
        }
        None => configured(arguments.config.as_deref()),
    }
}

fn configured(config: Option<&Path>) -> ExitCode {
    let path = match locate::find_config(config) {
        Ok(path) => path,
        Err(error) => return fail(error),
    };
    match config::load(&path) {
        Ok(loaded) => {
            loaded.warnings.iter().for_each(|warning| tell(warning.trim_end()));
            let least = level(loaded.plan.error_log_level);
            serve(loaded.plan, Some(path), least, |_| || ())
        }
        Err(errors) => {
            tell(errors.to_string().trim_end());
            fail(format_args!("{} has errors; nothing was started", path.display()))
        }
    }
}
