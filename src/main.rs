//! Starts the program; all of it lives in the library.

fn main() -> std::process::ExitCode {
    grantgate::cli::run()
}
