//! `ringgate import nginx`: an nginx.conf as TOML, and a report of what became of it. `ringgate run --nginx` runs it without a file between.

use super::{fail, print, tell};
use crate::config::{self, Loaded};
use crate::import::report::Outcome;
use crate::import::{Files, Imported};
use crate::limits;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The options.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Whose configuration it is
    from: From,
    /// Its main file, or a file of `server` blocks such as those in sites-available
    path: PathBuf,
    /// Write the TOML here instead of to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    how: How,
}

/// What `import` and `run --nginx` have in common.
#[derive(Debug, Clone, clap::Args)]
pub struct How {
    /// Go on without what is not supported and without files that are not there
    #[arg(long)]
    pub lossy: bool,
    /// Where nginx's relative paths begin (its option -p) [default: as its packages have it]
    #[arg(long, value_name = "DIR")]
    pub prefix: Option<PathBuf>,
}

/// What can be imported.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum From {
    /// nginx.conf and all that it includes
    Nginx,
}

/// The files of this machine.
struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if path.is_dir() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory));
        }
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(limits::CONFIG_FILE_MAX + 1).read_to_end(&mut bytes)?;
        match bytes.len() as u64 > limits::CONFIG_FILE_MAX {
            true => Err(io::Error::other(format!("it is larger than {} bytes", limits::CONFIG_FILE_MAX))),
            false => Ok(bytes),
        }
    }

    fn list(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        let options = glob::MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: true,
        };
        let paths = glob::glob_with(&pattern.to_string_lossy(), options).map_err(io::Error::other)?;
        let mut paths: Vec<PathBuf> = paths.collect::<Result<_, glob::GlobError>>().map_err(io::Error::from)?;
        paths.sort();
        Ok(paths)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }
}

/// Imports, says what became of everything, and writes the result.
pub fn run(arguments: &Arguments) -> ExitCode {
    let From::Nginx = arguments.from;
    let (imported, loaded) = match read(&arguments.path, &arguments.how) {
        Ok(read) => read,
        Err(code) => return code,
    };
    let Imported { text, report, files, .. } = &imported;
    match &arguments.output {
        Some(output) => {
            let same = |file: &PathBuf| output.exists() && file.canonicalize().ok() == output.canonicalize().ok();
            if files.iter().any(same) {
                return fail(format_args!("{} is one of the files that were read; name another", output.display()));
            }
            if let Err(error) = std::fs::write(output, text) {
                return fail(format_args!("{} cannot be written: {error}", output.display()));
            }
        }
        None => print(text),
    }
    match (loaded, report.is_complete() || arguments.how.lossy) {
        (None, _) => fail("the result is not good yet; the errors above say why"),
        (Some(_), false) => fail("not everything was taken over; with --lossy that is no error"),
        (Some(_), true) => ExitCode::SUCCESS,
    }
}

/// `ringgate run --nginx`: what runs, if nothing is lost.
pub fn load(path: &Path, how: &How) -> Result<Loaded, ExitCode> {
    let (imported, loaded) = read(path, how)?;
    if !imported.report.is_complete() && !how.lossy {
        return Err(fail("not everything can be taken over; with --lossy it runs without"));
    }
    loaded.ok_or_else(|| fail("the errors above say why; nothing was started"))
}

/// Reads, translates and checks; prints the report and what ringgate says of the result.
fn read(path: &Path, how: &How) -> Result<(Imported, Option<Loaded>), ExitCode> {
    let mut imported = match crate::import::import(path, how.prefix.as_deref(), &Disk) {
        Ok(imported) => imported,
        Err(mistakes) => {
            mistakes.iter().for_each(|mistake| tell(&mistake.to_string()));
            return Err(fail(format_args!("{} has errors; nothing was imported", path.display())));
        }
    };
    // Errors that name a line are put right one after the other; each round takes at least one line away.
    let mut checked = check(path, &imported);
    while let Err(errors) = &checked
        && how.lossy
        && errors.iter().filter(|(line, message)| imported.leave_out(*line, message)).count() > 0
    {
        checked = check(path, &imported);
    }
    let report = &imported.report;
    tell(report.render().trim_end());
    let summary = format!("ringgate: {}", report.summary());
    if report.count(Outcome::Missing) > 0 && !how.lossy {
        tell(&summary);
        return Err(fail("files are missing; with --lossy that is no error"));
    }
    let (told, loaded) = match checked {
        Ok((loaded, warnings)) => (warnings, Some(loaded)),
        Err(errors) => (errors, None),
    };
    for (line, rendered) in told {
        match line.and_then(|line| imported.place(line)) {
            Some(place) => tell(&format!("{place}: this became\n{}", rendered.trim_end())),
            None => tell(rendered.trim_end()),
        }
    }
    // Last, where it is seen.
    tell(&summary);
    Ok((imported, loaded))
}

/// What ringgate says of a text, with the lines that it names (from 0).
type Told = Vec<(Option<usize>, String)>;

/// Whether ringgate takes the result, and what it says of it.
fn check(path: &Path, imported: &Imported) -> Result<(Loaded, Told), Told> {
    let name = format!("{}.toml", path.display());
    let line = |rendered: &str| -> Option<usize> {
        let line: usize = rendered.strip_prefix(&name)?.split(':').nth(1)?.parse().ok()?;
        line.checked_sub(1)
    };
    let told = |rendered: &str| (line(rendered), rendered.to_string());
    match config::load_str(&name, &imported.text) {
        Ok(loaded) => {
            let warnings = loaded.warnings.iter().map(|warning| told(warning)).collect();
            Ok((loaded, warnings))
        }
        Err(errors) => Err(errors.iter().map(told).collect()),
    }
}
