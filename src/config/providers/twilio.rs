//! `[providers.twilio.NAME]`: text messages by a REST interface of Twilio's shape.

use std::time::Duration;

use crate::config::reader::Reader;
use crate::config::secret::Secret;

/// Who a text message comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TwilioSender {
    /// A number in E.164 form or an approved name.
    From(String),
    /// A messaging service that picks the number.
    MessagingService(String),
}

/// `[providers.twilio.NAME]`
#[derive(Clone, Debug)]
pub struct TwilioSettings {
    /// Without a slash at its end.
    pub base_url: String,
    /// The account.
    pub account_sid: String,
    /// Its token.
    pub auth_token: Secret,
    /// Who the message comes from.
    pub sender: TwilioSender,
    /// For the whole call.
    pub timeout: Duration,
}

/// Reads the section at `path`.
pub(super) fn read(reader: &mut Reader, path: &str) -> TwilioSettings {
    let at = |key: &str| format!("{path}.{key}");
    let url_origin = reader.origin(&at("base_url"));
    let base_url = reader
        .optional_text(&at("base_url"))
        .unwrap_or_else(|| "https://api.twilio.com".to_owned());
    if !is_safe_url(&base_url) {
        reader.fault(&url_origin, &at("base_url"), "is not usable; give a URL that starts with https://, or with http:// and an address of this machine");
    }
    let account_sid = reader.required_text(
        &at("account_sid"),
        "the account's SID, from the provider's console",
    );
    let auth_token = super::required_secret(reader, &at("auth_token_file"));
    let from_origin = reader.origin(&at("from"));
    let sender = match (
        reader.optional_text(&at("from")),
        reader.optional_text(&at("messaging_service_sid")),
    ) {
        (Some(from), None) => TwilioSender::From(from),
        (None, Some(service)) => TwilioSender::MessagingService(service),
        (given, _) => {
            let what = if given.is_some() {
                "stands beside messaging_service_sid; give one of the two"
            } else {
                "is missing; give a sender number such as \"+15005550006\", or messaging_service_sid"
            };
            reader.fault(&from_origin, &at("from"), what);
            TwilioSender::From(String::new())
        }
    };
    TwilioSettings {
        base_url: base_url.trim_end_matches('/').to_owned(),
        account_sid,
        auth_token,
        sender,
        timeout: super::timeout(reader, path),
    }
}

/// https anywhere; http only to this machine. No user, no query: a token in a URL would be logged.
fn is_safe_url(url: &str) -> bool {
    let (rest, secure) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (rest, true),
        (_, Some(rest)) => (rest, false),
        _ => return false,
    };
    if rest.contains(['@', '?', '#']) || rest.contains(char::is_whitespace) {
        return false;
    }
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => host,
        _ => authority,
    };
    let ip = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<std::net::IpAddr>();
    !host.is_empty() && (secure || host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback()))
}
