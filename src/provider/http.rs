//! What the HTTP providers share: one request, one bounded answer, and the truth about how far it came.
//!
//! Promise: no redirect is followed, no proxy is taken from the environment, nothing is sent twice, no more than 64 KiB of
//! an answer are kept. It does not know what an answer means.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::HeaderMap;

/// More of an answer is not read.
const MAX_BODY_BYTES: usize = 64 * 1024;
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// Providers close idle connections after a minute or so; ours go first, so that a request does not meet a closing one.
const MAX_IDLE: Duration = Duration::from_secs(20);

/// A provider may ask us to wait this long at least and at most.
const WAIT_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3_600));

/// How a request ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// There was an answer.
    Answer(Answer),
    /// The request did not leave.
    NotSent(String),
    /// The request may have arrived, and there is no whole answer.
    Lost(String),
}

/// The part of an answer that was read.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// At most 64 KiB.
    pub(super) body: Vec<u8>,
    /// Whether that is all of it.
    pub(super) whole: bool,
}

impl Answer {
    /// The body as JSON, when all of it was read.
    pub(super) fn json(&self) -> Option<serde_json::Value> {
        self.whole
            .then(|| serde_json::from_slice(&self.body).ok())
            .flatten()
    }

    /// How long the header Retry-After asks to wait; `None` without one that can be read.
    pub(super) fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        let text = self.headers.get(reqwest::header::RETRY_AFTER)?;
        retry_after(text.to_str().ok()?, now)
    }

    /// The beginning of the body, for people.
    pub(super) fn words(&self) -> String {
        let start = self.body.get(..600).unwrap_or(&self.body);
        format!("{} {}", self.status, String::from_utf8_lossy(start))
    }
}

/// A client whose calls take at most `deadline` in all.
///
/// # Errors
/// A sentence.
pub(super) fn client(deadline: Duration, user_agent: &str) -> Result<reqwest::Client, String> {
    let roots = rustls::RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(user_agent)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .tcp_nodelay(true)
        .connect_timeout(CONNECT_DEADLINE.min(deadline))
        .timeout(deadline)
        .pool_idle_timeout(MAX_IDLE)
        .build()
        .map_err(|error| format!("no HTTP client: {error}"))
}

/// Checks an address that requests are built on: http or https, a host, no question mark.
///
/// # Errors
/// A sentence about the setting.
pub(super) fn base_url(text: &str) -> Result<String, String> {
    let url = reqwest::Url::parse(text).map_err(|error| format!("base_url {text:?}: {error}"))?;
    let usable = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty();
    if usable {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err(format!(
            "base_url {text:?} must be http or https with a host, and nothing after the path"
        ))
    }
}

/// One request.
pub(super) async fn call(request: reqwest::RequestBuilder) -> Outcome {
    let mut response = match request.send().await {
        Ok(response) => response,
        // The address is in the error's text, and may hold a token.
        Err(error) if error.is_connect() || error.is_builder() => {
            return Outcome::NotSent(chain(&error.without_url()));
        }
        Err(error) => return Outcome::Lost(chain(&error.without_url())),
    };
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                let room = MAX_BODY_BYTES.saturating_sub(body.len());
                body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
                if chunk.len() > room {
                    return Outcome::Answer(Answer {
                        status,
                        headers,
                        body,
                        whole: false,
                    });
                }
            }
            Ok(None) => {
                return Outcome::Answer(Answer {
                    status,
                    headers,
                    body,
                    whole: true,
                });
            }
            // The status has come, and it decides; a body that breaks off is only not whole.
            Err(_) => {
                return Outcome::Answer(Answer {
                    status,
                    headers,
                    body,
                    whole: false,
                });
            }
        }
    }
}

fn chain(error: &reqwest::Error) -> String {
    let mut words = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        words.push_str(": ");
        words.push_str(&cause.to_string());
        source = cause.source();
    }
    words
}

/// Seconds, or a date (RFC 9110 10.2.3), clamped to 1 s to 1 h.
pub(super) fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return clamp_seconds(seconds);
    }
    let date = jiff::fmt::strtime::parse("%a, %d %b %Y %H:%M:%S GMT", text)
        .and_then(|parts| parts.to_datetime())
        .ok()?;
    let wait = match date.to_zoned(jiff::tz::TimeZone::UTC) {
        Ok(date) => date.timestamp().duration_since(now).as_secs_f64(),
        // A date in the last hours of year 9999 is no instant, but surely later than an hour.
        Err(_) => f64::INFINITY,
    };
    clamp_seconds(wait)
}

/// `None` for what is no number.
pub(super) fn clamp_seconds(seconds: f64) -> Option<Duration> {
    let (least, most) = WAIT_BOUNDS;
    if seconds.is_nan() {
        return None;
    }
    Some(Duration::from_secs_f64(
        seconds.clamp(least.as_secs_f64(), most.as_secs_f64()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_clamped_and_nonsense_is_none() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let of = |text: &str| retry_after(text, now).map(|wait| wait.as_secs());
        assert_eq!(of("30"), Some(30));
        assert_eq!(of("0"), Some(1));
        assert_eq!(of("-1"), Some(1));
        assert_eq!(of("3601"), Some(3_600));
        assert_eq!(of("1e9"), Some(3_600));
        assert_eq!(of("inf"), Some(3_600));
        assert_eq!(of("99999999999999999999999"), Some(3_600));
        assert_eq!(of("Fri, 31 Dec 9999 23:59:59 GMT"), Some(3_600));
        assert_eq!(of("Sun, 22 Nov 2026 12:01:00 GMT"), Some(60));
        assert_eq!(of("Sun, 22 Nov 2020 12:01:00 GMT"), Some(1));
        for nonsense in ["abc", "", "NaN", "12 parsecs"] {
            assert_eq!(of(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn odd_base_urls_are_refused() {
        assert_eq!(
            base_url("https://api.example/").unwrap(),
            "https://api.example"
        );
        for odd in ["ftp://x", "x", "https://x/?a=b", "https://u:p@x/", ""] {
            assert!(base_url(odd).is_err(), "{odd}");
        }
    }
}
