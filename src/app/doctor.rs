//! `tidings doctor`: looks at an installation from inside and says what to change.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::doors::listen;
use super::{hosts, providers};
use crate::cli::{self, DoctorOptions};
use crate::config::{self, Config, ProviderKind, QueueKind, StoreKind};
use crate::domain::clock::{Clock, SystemClock};
use crate::domain::pulse::Pulse;
use crate::domain::shop::Identity;
use crate::store::sqlite::{OpenError, Opening, SqliteStore};
use crate::store::{Lookup as _, Operations as _};

/// A clock before this is wrong: the year this release was made in.
const EARLIEST_YEAR: i16 = 2026;

/// How long a server may take to answer.
const CONNECT: Duration = Duration::from_secs(5);

/// One thing that was looked at.
struct Finding {
    what: String,
    good: bool,
    sentence: String,
}

impl Finding {
    fn of(what: impl Into<String>, result: Result<String, String>) -> Self {
        let good = result.is_ok();
        Self {
            what: what.into(),
            good,
            sentence: result.unwrap_or_else(|sentence| sentence),
        }
    }
}

/// Looks and tells; 0 when all is well, 1 when something is not, 64 when the configuration cannot be read.
pub(super) async fn run(options: DoctorOptions) -> i32 {
    let config = match Config::load(options.config.as_deref(), std::env::vars()) {
        Ok(config) => config,
        Err(error) => {
            let findings: Vec<_> = error
                .faults()
                .iter()
                .map(|fault| Finding::of("configuration", Err(fault.clone())))
                .collect();
            tell(&findings, options.json);
            return i32::from(config::EXIT_CODE);
        }
    };
    let findings = look(&config).await;
    tell(&findings, options.json);
    i32::from(findings.iter().any(|finding| !finding.good))
}

async fn look(config: &Config) -> Vec<Finding> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut findings = vec![
        Finding::of(
            "configuration",
            Ok("every setting is known and in range".into()),
        ),
        Finding::of("clock", tell_time(clock.as_ref())),
        Finding::of("store", store(config, clock.as_ref()).await),
        Finding::of("queue", queue(config).await),
        Finding::of("templates", templates(config)),
        Finding::of("callers", Ok(hosts::callers(config))),
        Finding::of("gRPC", door(config.server.grpc_address).await),
        Finding::of("console", door(config.server.console_address).await),
    ];
    if let Some(address) = config.server.health_address {
        findings.push(Finding::of("health", door(address).await));
    }
    for settings in &config.providers {
        if let ProviderKind::Outbox(_) = settings.kind {
            findings.push(Finding::of(
                format!("{} by {}", settings.channel, settings.name),
                Ok("captures messages; nothing leaves the machine".into()),
            ));
        }
    }
    match providers::senders(config, &clock, &Arc::new(Pulse::alone())) {
        Ok(senders) => {
            for (channel, provider) in senders {
                findings.push(Finding::of(
                    format!("{channel} by {}", provider.name()),
                    provider.check().await,
                ));
            }
        }
        Err(error) => findings.push(Finding::of("providers", Err(error.to_string()))),
    }
    findings
}

/// Whether the address is free. It is let go again at once.
async fn door(address: SocketAddr) -> Result<String, String> {
    match listen(address).await {
        Ok(_) if address.port() == 0 => Ok(format!("{} has free ports", address.ip())),
        Ok(_) => Ok(format!("{address} is free")),
        Err(error) => Err(error.to_string()),
    }
}

fn tell_time(clock: &dyn Clock) -> Result<String, String> {
    let now = clock.now();
    let year = now.to_zoned(jiff::tz::TimeZone::UTC).year();
    if year < EARLIEST_YEAR {
        return Err(format!(
            "the system says {now}; set the clock, or notifications expire and fire at the wrong time"
        ));
    }
    Ok(format!("{now:.0}"))
}

async fn store(config: &Config, clock: &dyn Clock) -> Result<String, String> {
    if let StoreKind::Postgres(postgres) = &config.store.kind {
        return answers(&postgres.host, postgres.port).await;
    }
    let folder = &config.store.path;
    if !folder.exists() {
        return can_be_made(folder).map_err(|error| error.to_string());
    }
    let opening = Opening {
        max_bytes: config.store.max_size,
        paused: false,
    };
    let store = SqliteStore::open_as(folder, clock.now(), opening)
        .await
        .map_err(|error| error.to_string())?;
    let mut count = 0;
    let mut failed = None;
    for identity in identities(config) {
        match store.counts(&identity).await {
            Ok(counts) => count += counts.iter().map(|(_, count)| count).sum::<u64>(),
            Err(error) => failed = Some(error.to_string()),
        }
    }
    let held = *store.hold().borrow();
    store.close().await;
    if let Some(error) = failed {
        return Err(error);
    }
    if let Some(held) = held {
        return Err(format!(
            "{} holds {count} notifications, and {}",
            folder.display(),
            held.sentence()
        ));
    }
    Ok(format!("{} holds {count} notifications", folder.display()))
}

/// Everybody who may have sent something: the callers, and whoever called before there were any.
fn identities(config: &Config) -> Vec<Identity> {
    let known = config
        .callers
        .iter()
        .map(|known| known.caller.identity.clone());
    let mut all: Vec<_> = known.collect();
    if !all.contains(&Identity::local()) {
        all.push(Identity::local());
    }
    all
}

async fn queue(config: &Config) -> Result<String, String> {
    let QueueKind::Rabbitmq(rabbitmq) = &config.queue.kind else {
        return Ok("inside the process".into());
    };
    let mut told = Vec::new();
    for (host, port) in &rabbitmq.hosts {
        told.push(answers(host, *port).await?);
    }
    Ok(told.join(", "))
}

/// Whether anything listens there. Signing in is left to the start: it would bring the tables and queues to this release.
async fn answers(host: &str, port: u16) -> Result<String, String> {
    let connecting = tokio::net::TcpStream::connect((host, port));
    match tokio::time::timeout(CONNECT, connecting).await {
        Ok(Ok(_)) => Ok(format!("{host}:{port} answers")),
        Ok(Err(error)) => Err(format!("{host}:{port} cannot be reached: {error}")),
        Err(_) => Err(format!(
            "{host}:{port} does not answer within {} s",
            CONNECT.as_secs()
        )),
    }
}

/// Tries it where the folder will be, and leaves nothing behind.
fn can_be_made(folder: &Path) -> Result<String, OpenError> {
    let there = folder
        .ancestors()
        .skip(1)
        .map(|above| {
            if above.as_os_str().is_empty() {
                Path::new(".")
            } else {
                above
            }
        })
        .find(|above| above.exists())
        .unwrap_or(Path::new("/"));
    let probe = there.join(format!(".tidings-doctor-{}", std::process::id()));
    std::fs::create_dir(&probe)
        .and_then(|()| std::fs::remove_dir(&probe))
        .map_err(|source| OpenError::Folder {
            folder: folder.to_owned(),
            source,
        })?;
    Ok(format!(
        "{} does not exist yet; the first start makes it",
        folder.display()
    ))
}

fn templates(config: &Config) -> Result<String, String> {
    let catalog = super::templates::open(hosts::source(config.catalog.templates.clone()))
        .map_err(|error| error.to_string())?;
    let live = catalog.live();
    Ok(format!(
        "bundle {} with {} templates",
        live.id(),
        live.manifests().count()
    ))
}

fn tell(findings: &[Finding], json: bool) {
    if json {
        let rows: Vec<_> = findings
            .iter()
            .map(|finding| serde_json::json!({"what": finding.what, "good": finding.good, "sentence": finding.sentence}))
            .collect();
        return cli::line(&serde_json::Value::from(rows).to_string());
    }
    for finding in findings {
        let mark = if finding.good { "✓" } else { "✗" };
        cli::line(&format!("{mark} {:<18} {}", finding.what, finding.sentence));
    }
}
