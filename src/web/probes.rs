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
    if (shared.console.ready)() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
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
