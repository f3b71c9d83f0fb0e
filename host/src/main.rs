//! Opens the door: parse, dispatch, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    tidemill::cli::main()
}
