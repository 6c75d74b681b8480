//! L7: wiring, the only place that names adapters. [`Gateway`] is the running whole; `demo`, `dev` and `serve` differ in what they
//! start it with.

use std::process::ExitCode;

use crate::cli;

mod bench;
mod build;
mod captures;
mod demo;
mod doctor;
mod doors;
mod hosts;
mod providers;
mod queues;
mod start_error;
mod stores;
mod templates;

pub use build::{Gateway, Setup};
pub use start_error::StartError;

/// The program: parses the command line, runs it, answers with its exit code.
pub fn main() -> ExitCode {
    // One provider of cryptography for the whole process; a second installation is refused and does no harm.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            cli::complain(&format!("the runtime could not start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(cli::run(cli, &hosts::Here));
    // A task that hangs must not keep the process: everything that matters is in the store.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    code
}
