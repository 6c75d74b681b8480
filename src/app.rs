//! L7: wiring. Reads the command line, then runs a host or talks to one.

use std::process::ExitCode;

use async_trait::async_trait;

use crate::cli::{self, DemoOptions, DevOptions, DoctorOptions, Hosts, ServeOptions};
use crate::config::{self, Config};

/// The hosts that this build can run.
struct Local;

fn check(file: Option<&std::path::Path>) -> i32 {
    match Config::load(file, std::env::vars()) {
        Ok(_) => 0,
        Err(error) => {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "{error}");
            i32::from(config::EXIT_CODE)
        }
    }
}

#[async_trait]
impl Hosts for Local {
    async fn demo(&self, _options: DemoOptions) -> i32 {
        1
    }

    async fn dev(&self, _options: DevOptions) -> i32 {
        1
    }

    async fn serve(&self, options: ServeOptions) -> i32 {
        check(options.config.as_deref())
    }

    async fn doctor(&self, options: DoctorOptions) -> i32 {
        check(options.config.as_deref())
    }
}

/// The program.
pub fn main() -> ExitCode {
    let cli = cli::parse();
    match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime.block_on(cli::run(cli, &Local)),
        Err(_) => ExitCode::FAILURE,
    }
}
