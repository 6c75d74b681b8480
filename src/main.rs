//! The `tidings` binary; everything is in the library.

use std::process::ExitCode;

/// Answering calls and filling templates make many small values; this allocator makes them faster than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tidings::app::main()
}
