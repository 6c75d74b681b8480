//! What machines ask: is it alive, does it take work, how is it doing.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;

use super::Shared;

/// The process answers; nothing more is meant.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether it may be sent work.
pub(super) async fn readyz(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    match (shared.console.ready)() {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(why) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("not ready: {why}\n"),
        ),
    }
}

/// The metrics in the Prometheus text format, version 0.0.4.
pub(super) async fn metrics(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let media_type = "text/plain; version=0.0.4; charset=utf-8";
    (
        [(header::CONTENT_TYPE, media_type)],
        (shared.console.metrics)(),
    )
}
