//! cli
pub mod check;
pub mod init;
pub mod locate;

pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
