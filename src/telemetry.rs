//! L6: logs and metrics on their way out. Names come from [`crate::event`] alone.

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Upper bounds of latency histograms, seconds.
const BUCKETS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// Starts logging to standard error: `filter` in the form of `tracing-subscriber` (`info`, `tidings=debug`), one line a fact, as
/// JSON if wanted. lettre's and lapin's logs are always off, and handlebars and the database's client tell no more than warnings: they
/// would hold addresses, bodies, variables, and the broker's password. A second call changes nothing.
pub fn log(filter: &str, json: bool) {
    let filter = EnvFilter::try_new(format!(
        "{filter},lettre=off,lapin=off,handlebars=warn,tokio_postgres=warn,h2=warn,hyper=warn,twilight_http=warn"
    ))
    .unwrap_or_else(|_| EnvFilter::new("info,lettre=off,lapin=off,handlebars=warn,tokio_postgres=warn"));
    let registry = tracing_subscriber::registry().with(filter);
    let started = if json {
        registry
            .with(
                tracing_subscriber::fmt::layer()
                    .json()
                    .with_writer(std::io::stderr),
            )
            .try_init()
    } else {
        registry
            .with(
                tracing_subscriber::fmt::layer()
                    .compact()
                    .with_ansi(false)
                    .with_writer(std::io::stderr),
            )
            .try_init()
    };
    // Another part of the process logs already; its subscriber serves as well.
    drop(started);
}

/// Starts collecting metrics; the handle renders them. `None` when another part of the process collects already.
pub fn metrics() -> Option<PrometheusHandle> {
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &BUCKETS)
        .ok()?;
    builder.install_recorder().ok()
}
