//! `[providers.smtp.NAME]`: mail by SMTP.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::NO_SECRET;
use crate::config::reader::Reader;
use crate::provider::secret::Secret;
use crate::provider::smtp::{SmtpSettings, TlsMode};

/// How long a peer may take for what is usually quick.
const QUICK: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(300);
/// How long a peer may take to store a message (RFC 5321, 4.5.3.2.6, says 10 minutes).
const STORING: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(600);

/// Reads the section at `path`.
pub(super) fn read(reader: &mut Reader, path: &str) -> SmtpSettings {
    let at = |key: &str| format!("{path}.{key}");
    let usual = SmtpSettings::default();
    let what = "the name or IP address of the mail server";
    let host = reader.required_text(&at("host"), what);
    let words = [
        ("starttls", TlsMode::Starttls),
        ("tls", TlsMode::Tls),
        ("none", TlsMode::None),
    ];
    let tls = reader.word(&at("tls"), &words).unwrap_or_default();
    let port = reader.count(&at("port"), &(1..=65535));
    let (username, password) = credentials(reader, path, tls, &host);
    SmtpSettings {
        host,
        port: port
            .and_then(|port| u16::try_from(port).ok())
            .unwrap_or(usual_port(tls)),
        tls,
        username,
        password,
        extra_ca: reader.readable_file(&at("ca_file")),
        helo_name: reader.optional_text(&at("helo")).unwrap_or(usual.helo_name),
        message_id_domain: reader
            .optional_text(&at("message_id_domain"))
            .unwrap_or(usual.message_id_domain),
        max_connections: reader
            .count(&at("max_connections"), &(1..=64))
            .map_or(usual.max_connections, |count| count as usize),
        connect_ms: reader.milliseconds(&at("connect_timeout"), &QUICK, usual.connect_ms),
        command_ms: reader.milliseconds(&at("command_timeout"), &QUICK, usual.command_ms),
        final_dot_ms: reader.milliseconds(&at("data_timeout"), &STORING, usual.final_dot_ms),
    }
}

const fn usual_port(tls: TlsMode) -> u16 {
    match tls {
        TlsMode::Starttls => 587,
        TlsMode::Tls => 465,
        TlsMode::None => 25,
    }
}

/// User and password; both or neither, and never in the clear to another machine.
fn credentials(reader: &mut Reader, path: &str, tls: TlsMode, host: &str) -> (String, Secret) {
    let (user_path, file_path) = (format!("{path}.username"), format!("{path}.password_file"));
    let (user_origin, file_origin) = (reader.origin(&user_path), reader.origin(&file_path));
    let user = reader.optional_text(&user_path);
    let password = reader.secret(&file_path);
    let local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match (&user, &password) {
        (Some(_), Some(_)) if tls == TlsMode::None && !local => reader.fault(
            &user_origin,
            &user_path,
            "would send its password in the clear; set tls to \"starttls\" or \"tls\"",
        ),
        (Some(_), None) => reader.fault(&file_origin, &file_path, NO_SECRET),
        (None, Some(_)) => reader.fault(
            &user_origin,
            &user_path,
            "is missing; give the user that the password belongs to",
        ),
        _ => {}
    }
    (user.unwrap_or_default(), password.unwrap_or_default())
}
