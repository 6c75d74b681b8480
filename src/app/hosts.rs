//! The commands that run a gateway.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use super::build::{Gateway, Setup};
use super::start_error::StartError;
use super::{bench, demo, doctor, stores};
use crate::catalog::Source;
use crate::cli::{
    self, BenchOptions, DemoOptions, DevOptions, DoctorOptions, Hosts, MigrateOptions, ServeOptions,
};
use crate::config::{self, Config, LogFormat};
use crate::domain::clock::{Clock as _, SystemClock};
use crate::lifecycle::asked_to_stop;
use crate::telemetry;

/// The first second of 2020: a clock that shows less was never set.
const EARLIEST: i64 = 1_577_836_800;

/// Why a host ended otherwise than asked to: its exit code and a sentence.
pub(super) struct Ended(u8, String);

impl From<StartError> for Ended {
    fn from(error: StartError) -> Self {
        Self(error.exit_code(), error.to_string())
    }
}

impl From<String> for Ended {
    fn from(sentence: String) -> Self {
        Self(1, sentence)
    }
}

/// Hosts in this process.
pub(super) struct Here;

/// Where templates are looked for when nobody names a folder.
const TEMPLATES: &str = "templates";

#[async_trait(?Send)]
impl Hosts for Here {
    async fn demo(&self, options: DemoOptions) -> i32 {
        telemetry::log(&level("warn"), false);
        told(demo::run(options).await)
    }

    async fn dev(&self, options: DevOptions) -> i32 {
        telemetry::log(&level("info"), false);
        told(dev(options).await)
    }

    async fn serve(&self, options: ServeOptions) -> i32 {
        let said = std::env::vars().chain(options.settings());
        let mut config = match configured(options.config.as_deref(), said) {
            Ok(config) => config,
            Err(code) => return code,
        };
        config.store.paused = options.paused;
        telemetry::log(
            &level(&config.telemetry.log),
            config.telemetry.format == LogFormat::Json,
        );
        let source = source(config.catalog.templates.clone());
        told(host(config, source, Vec::new(), true, Ended::from).await)
    }

    async fn migrate(&self, options: MigrateOptions) -> i32 {
        match configured(options.config.as_deref(), std::env::vars()) {
            Ok(config) => told(migrate(&config).await),
            Err(code) => code,
        }
    }

    async fn doctor(&self, options: DoctorOptions) -> i32 {
        doctor::run(options).await
    }

    async fn bench(&self, options: BenchOptions) -> i32 {
        telemetry::log(&level("warn"), false);
        told(bench::run(options).await)
    }
}

/// The configuration, or the exit code when it is refused, which has been told.
fn configured(
    file: Option<&Path>,
    said: impl Iterator<Item = (String, String)>,
) -> Result<Config, i32> {
    Config::load(file, said).map_err(|error| {
        error
            .faults()
            .iter()
            .for_each(|fault| cli::complain(&format!("error: {fault}")));
        i32::from(config::EXIT_CODE)
    })
}

async fn migrate(config: &Config) -> Result<(), Ended> {
    let taken = stores::migrate(&config.store, SystemClock.now()).await?;
    cli::line(&match taken {
        0 => "the tables are those of this release already".to_owned(),
        1 => "the tables were brought to this release in 1 step".to_owned(),
        steps => format!("the tables were brought to this release in {steps} steps"),
    });
    Ok(())
}

/// `TIDINGS_LOG` wins over what the command or the configuration says.
fn level(default: &str) -> String {
    std::env::var("TIDINGS_LOG").unwrap_or_else(|_| default.to_owned())
}

/// The named folder, else `./templates`, else the pack that is compiled in.
pub(super) fn source(named: Option<PathBuf>) -> Source {
    let folder = named.or_else(|| {
        Some(PathBuf::from(TEMPLATES)).filter(|folder| folder.join("shop.toml").is_file())
    });
    folder.map_or(Source::Embedded, Source::Folder)
}

/// Everything embedded on the system's clock.
async fn dev(options: DevOptions) -> Result<(), Ended> {
    let mut config = Config::embedded(&options.data);
    config.server.grpc_address.set_port(options.port);
    config.server.console_address.set_port(options.ui_port);
    config.catalog.reload = true;
    host(
        config,
        source(options.templates),
        options.chaos,
        options.headless,
        |error| not_started(&error, options.port),
    )
    .await
}

async fn host(
    config: Config,
    source: Source,
    chaos: Vec<cli::Chaos>,
    headless: bool,
    failed: impl FnOnce(StartError) -> Ended,
) -> Result<(), Ended> {
    let data = config.store.path.clone();
    let callers = callers(&config);
    let templates = match &source {
        Source::Embedded => "the pack compiled in".to_owned(),
        Source::Folder(folder) => folder.display().to_string(),
    };
    let asked = asked_to_stop().map_err(|error| format!("no signal can be waited for: {error}"))?;
    let setup = Setup {
        source,
        clock: Arc::new(SystemClock),
        clock_note: String::new(),
        chaos,
    };
    let started = match SystemClock.now() {
        now if now.as_second() < EARLIEST => Err(StartError::Clock(now)),
        _ => Gateway::start(config, setup).await,
    };
    let gateway = started.map_err(failed)?;
    if let Some(process) = gateway.process() {
        cli::line(&format!("process    {process}"));
    }
    cli::line(&format!("gRPC       {}", gateway.grpc_address()));
    cli::line(&format!("console    http://{}", gateway.console_address()));
    if let Some(address) = gateway.health_address() {
        cli::line(&format!("health     http://{address}"));
    }
    cli::line(&format!("data       {}", data.display()));
    cli::line(&format!("templates  {templates}"));
    cli::line(&format!("callers    {callers}"));
    if !headless {
        // A machine without a browser shows the address above; nothing else depends on it.
        drop(open::that_detached(format!(
            "http://{}",
            gateway.console_address()
        )));
    }
    asked.await;
    if !gateway.stop().await {
        cli::complain("not everything ended in time; what was left is taken up at the next start");
    }
    Ok(())
}

/// Who may call, in words.
pub(super) fn callers(config: &Config) -> String {
    if config.server.insecure {
        return "not identified, INSECURE: whoever reaches the gRPC address from anywhere may do everything"
            .to_owned();
    }
    if config.callers.is_empty() {
        return "not identified: whoever reaches this machine's own addresses may do everything"
            .to_owned();
    }
    let names: Vec<_> = config
        .callers
        .iter()
        .map(|known| known.caller.identity.caller.as_str())
        .collect();
    let line = match &config.server.tls {
        Some(_) => "by TLS",
        None => "without TLS, on this machine",
    };
    format!("{} ({line})", names.join(", "))
}

/// Why a gateway with ports from the command line did not start, with the option to change.
pub(super) fn not_started(error: &StartError, grpc_port: u16) -> Ended {
    match error {
        StartError::Listen { address, why } if why.kind() == ErrorKind::AddrInUse => {
            let option = if address.port() == grpc_port {
                "--port"
            } else {
                "--ui-port"
            };
            Ended(
                error.exit_code(),
                format!(
                    "{address} is in use, perhaps by another tidings: end that one, or give {option} another port (0 picks a free one)"
                ),
            )
        }
        other => Ended(other.exit_code(), other.to_string()),
    }
}

fn told(outcome: Result<(), Ended>) -> i32 {
    match outcome {
        Ok(()) => 0,
        Err(Ended(code, sentence)) => {
            cli::complain(&format!("error: {sentence}"));
            i32::from(code)
        }
    }
}
