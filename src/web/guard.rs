//! What holds for every answer: who may ask under which name, and what a browser may do with what it gets.

use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures::FutureExt as _;

use super::Door;
use super::problem::Problem;
use crate::domain::rejection::RejectionReason;
use crate::event;

const CONSOLE_POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Adds the security headers that the handler has not set itself.
pub(super) async fn secure(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let framed = headers.contains_key(header::CONTENT_SECURITY_POLICY);
    let mut default = |name: HeaderName, value: &'static str| {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    };
    default(header::CONTENT_SECURITY_POLICY, CONSOLE_POLICY);
    default(
        header::X_FRAME_OPTIONS,
        if framed { "SAMEORIGIN" } else { "DENY" },
    );
    default(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    default(header::REFERRER_POLICY, "no-referrer");
    default(header::CACHE_CONTROL, "no-store");
    default(
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    );
    default(
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    );
    response
}

/// A bug in a handler costs its own answer.
pub(super) async fn unpanicked(request: Request, next: Next) -> Response {
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind();
    answered.await.unwrap_or_else(|_| {
        event::task_panicked("console");
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            RejectionReason::Internal.as_str(),
            "the gateway failed; its log tells why",
        )
        .into_response()
    })
}

/// Refuses names that a web page elsewhere could have pointed at this machine (DNS rebinding).
pub(super) async fn local_names_only(request: Request, next: Next) -> Response {
    let bound = request.extensions().get::<Door>().map(|door| door.bound);
    match host(request.headers()) {
        Some(host) if is_ours(host, bound) => next.run(request).await,
        _ => Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "HOST_REFUSED",
            "The console answers to localhost and to the address it listens on, under no other name. Open it by that address.",
        )
        .into_response(),
    }
}

/// The name or address in the Host header, without its port.
fn host(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::HOST).iter();
    let authority = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split_once(']').map(|(address, _)| address);
    }
    authority.split(':').next()
}

fn is_ours(host: &str, bound: Option<SocketAddr>) -> bool {
    if let Ok(address) = host.parse::<IpAddr>() {
        // Rebinding needs a name, so a door that is open on every address takes every address.
        return address.is_loopback()
            || bound.is_some_and(|bound| bound.ip().is_unspecified() || bound.ip() == address);
    }
    host.strip_suffix('.')
        .unwrap_or(host)
        .eq_ignore_ascii_case("localhost")
}

/// The answer to a path that is none.
pub(super) async fn not_found() -> Problem {
    Problem::not_found("There is nothing at this path. The console is at /.")
}

/// The answer to any method but GET.
pub(super) async fn get_only() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "METHOD_NOT_ALLOWED",
        "The console only reads: use GET. Changes go through gRPC.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_be_rebound_is_not_ours() {
        let bound = |text: &str| Some(text.parse().unwrap());
        for (host, listening, expected) in [
            ("localhost", None, true),
            ("LOCALHOST.", None, true),
            ("127.0.0.1", None, true),
            ("::1", None, true),
            ("10.1.2.3", bound("10.1.2.3:80"), true),
            ("10.1.2.3", bound("0.0.0.0:80"), true),
            ("10.1.2.4", bound("10.1.2.3:80"), false),
            ("10.1.2.3", bound("127.0.0.1:80"), false),
            ("evil.example", bound("0.0.0.0:80"), false),
            ("localhost.evil.example", None, false),
            ("127.0.0.1.nip.io", None, false),
            ("", None, false),
        ] {
            assert_eq!(
                is_ours(host, listening),
                expected,
                "{host} on {listening:?}"
            );
        }
    }

    #[test]
    fn the_port_is_no_part_of_the_name() {
        let of = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(value));
            host(&headers).map(str::to_owned)
        };
        assert_eq!(of("localhost:8080").as_deref(), Some("localhost"));
        assert_eq!(of("[::1]:8080").as_deref(), Some("::1"));
        assert_eq!(of("[::1"), None);
        assert_eq!(host(&HeaderMap::new()), None);
    }
}
