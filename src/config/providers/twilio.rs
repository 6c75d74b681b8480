//! `[providers.twilio.NAME]`: text messages by a REST interface of Twilio's shape.

use crate::config::reader::Reader;
use crate::provider::twilio::TwilioSettings;

/// Reads the section at `path`.
pub(super) fn read(reader: &mut Reader, path: &str) -> TwilioSettings {
    let at = |key: &str| format!("{path}.{key}");
    let usual = TwilioSettings::default();
    let what = "the account's SID, from the provider's console";
    let account_sid = reader.required_text(&at("account_sid"), what);
    let auth_token = super::required_secret(reader, &at("auth_token_file"));
    let origin = reader.origin(&at("from"));
    let from = reader.text(&at("from")).unwrap_or_default();
    let messaging_service_sid = reader
        .text(&at("messaging_service_sid"))
        .unwrap_or_default();
    match (from.is_empty(), messaging_service_sid.is_empty()) {
        (false, false) => reader.fault(
            &origin,
            &at("from"),
            "stands beside messaging_service_sid; give one of the two",
        ),
        (true, true) => reader.fault(
            &origin,
            &at("from"),
            "is missing; give a sender number such as \"+15005550006\", or messaging_service_sid",
        ),
        _ => {}
    }
    TwilioSettings {
        base_url: reader.base_url(&at("base_url")).unwrap_or(usual.base_url),
        account_sid,
        auth_token,
        from,
        messaging_service_sid,
        timeout_ms: super::timeout(reader, path, usual.timeout_ms),
        ..TwilioSettings::default()
    }
}
