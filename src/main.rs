//! The `tidings` binary; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    tidings::app::main()
}
