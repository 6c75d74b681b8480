//! The rules of Twilio's and Discord's doors, as far as our providers touch them: each says which status a request gets
//! that breaks the published contract, or `None` when it keeps it. tests/provider/contract.rs holds them against Prism,
//! which reads the contract itself.

use crate::http_fake::Seen;

fn is_sid(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix)
        .is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn is_snowflake(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && (text == "0" || !text.starts_with('0'))
}

/// The fields of a form.
pub(crate) fn form(body: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(body);
    let decode = |word: &str| {
        let mut bytes = Vec::new();
        let mut rest = word.bytes();
        while let Some(byte) = rest.next() {
            match byte {
                b'+' => bytes.push(b' '),
                b'%' => {
                    let hex: Vec<u8> = rest.by_ref().take(2).collect();
                    let hex = String::from_utf8(hex).unwrap();
                    bytes.push(u8::from_str_radix(&hex, 16).unwrap());
                }
                byte => bytes.push(byte),
            }
        }
        String::from_utf8(bytes).unwrap()
    };
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

pub(crate) fn twilio_refuses(seen: &Seen) -> Option<u16> {
    let path = seen.path.split('?').next().unwrap_or_default();
    let account = path
        .strip_prefix("/2010-04-01/Accounts/")
        .and_then(|rest| rest.strip_suffix("/Messages.json"));
    let Some(account) = account.filter(|account| !account.contains('/')) else {
        return Some(404);
    };
    if !matches!(seen.method.as_str(), "POST" | "GET") {
        return Some(405);
    }
    let kind = seen.header("content-type").unwrap_or_default();
    if !seen.body.is_empty() && !kind.starts_with("application/x-www-form-urlencoded") {
        return Some(415);
    }
    if !seen
        .header("authorization")
        .is_some_and(|value| value.starts_with("Basic "))
    {
        return Some(401);
    }
    let form = form(&seen.body);
    let good = |name: &str, value: &str| match name {
        "MessagingServiceSid" => is_sid(value, "MG"),
        "ContentSid" => is_sid(value, "HX"),
        "StatusCallback" => value.contains("://"),
        "ValidityPeriod" => value.parse::<i64>().is_ok(),
        "ShortenUrls" => matches!(value, "true" | "false"),
        _ => true,
    };
    let keeps = is_sid(account, "AC")
        && form.iter().any(|(name, _)| name == "To")
        && form.iter().all(|(name, value)| good(name, value));
    (!keeps).then_some(422)
}

pub(crate) fn discord_refuses(seen: &Seen) -> Option<u16> {
    let (path, query) = seen.path.split_once('?').unwrap_or((&seen.path, ""));
    let path = path.strip_prefix("/api/v10").unwrap_or(path);
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let (ids_are_good, needs_token, longest) = match parts.as_slice() {
        ["channels", id, "messages"] => (is_snowflake(id), true, 4_000),
        ["users", "@me", "channels"] => (true, true, 0),
        ["webhooks", id, _token] => (is_snowflake(id), false, 2_000),
        _ => return Some(404),
    };
    if seen.method != "POST" {
        return Some(405);
    }
    let body: Option<serde_json::Value> = match seen.body.as_slice() {
        [] => None,
        bytes => match serde_json::from_slice(bytes) {
            Ok(body) => Some(body),
            Err(_) => return Some(400),
        },
    };
    if needs_token && seen.header("authorization").is_none() {
        return Some(401);
    }
    let waits = query
        .split('&')
        .filter_map(|pair| pair.strip_prefix("wait="))
        .all(|value| matches!(value, "true" | "false"));
    let keeps = body.is_some_and(|body| fields_are_good(&body, longest));
    (!(ids_are_good && waits && keeps)).then_some(422)
}

fn fields_are_good(body: &serde_json::Value, longest_content: usize) -> bool {
    use serde_json::Value;
    let Value::Object(fields) = body else {
        return false;
    };
    fields
        .iter()
        .all(|(name, value)| match (name.as_str(), value) {
            (_, Value::Null) => true,
            ("content", Value::String(text)) => text.chars().count() <= longest_content,
            ("nonce", Value::String(text)) => text.chars().count() <= 25,
            ("nonce", Value::Number(number)) => number.is_i64(),
            ("enforce_nonce" | "tts", value) => value.is_boolean(),
            ("recipient_id", Value::String(text)) => is_snowflake(text),
            ("allowed_mentions", Value::Object(mentions)) => mentions
                .get("parse")
                .and_then(Value::as_array)
                .is_none_or(|kinds| {
                    kinds
                        .iter()
                        .all(|kind| matches!(kind.as_str(), Some("users" | "roles" | "everyone")))
                }),
            ("content" | "nonce" | "recipient_id" | "allowed_mentions", _) => false,
            _ => true,
        })
}
