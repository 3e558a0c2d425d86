//! `ringgate explain`: what becomes of a request, by a file or by what runs.

use super::ask::{SOON, Whom};
use super::{fail, print};
use crate::config;
use crate::control::desk::asked;
use crate::control::explain::{Question, explain};
use crate::site::Site;
use crate::tls::Terms;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// The options.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A method [default: GET], and the URL as the client writes it
    #[arg(required = true, num_args = 1..=2, value_name = "[METHOD] URL")]
    request: Vec<String>,
    /// A field of the request, such as "X-Tenant: a"
    #[arg(short = 'H', long = "header", value_name = "FIELD")]
    headers: Vec<String>,
    /// The client's address
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    from: IpAddr,
    /// The configuration to ask; without it the running ringgate is asked
    #[arg(short, long, value_name = "FILE", conflicts_with = "admin")]
    config: Option<PathBuf>,
    /// The admin socket of the running one
    #[arg(long, value_name = "PATH")]
    admin: Option<PathBuf>,
}

/// Tells it.
pub fn run(arguments: Arguments) -> ExitCode {
    let Arguments { mut request, headers, from, config, admin } = arguments;
    let url = request.pop().unwrap_or_default();
    let method = request.pop().unwrap_or_else(|| "GET".to_owned());
    let question = Question { method, url, headers, from };
    let told = match config {
        Some(file) => by_file(&file, &question),
        None => Whom::of(admin).ask("GET", &format!("/explain?{}", asked(&question)), SOON),
    };
    match told {
        Ok(text) => {
            print(&text);
            ExitCode::SUCCESS
        }
        Err(error) => fail(error),
    }
}

fn by_file(file: &std::path::Path, question: &Question) -> Result<String, String> {
    let plan = Arc::new(config::load(file).map_err(|errors| errors.to_string())?.plan);
    let terms = Arc::new(Terms::none(&plan));
    explain(&Site::new(plan, terms, 1, &|_| None, None), question)
}
