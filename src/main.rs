//! The program: everything a person types is in `ringgate::cli`.

fn main() -> std::process::ExitCode {
    ringgate::cli::main()
}
