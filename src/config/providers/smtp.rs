//! `[providers.smtp.NAME]`: mail by SMTP.

use std::path::PathBuf;
use std::time::Duration;

use super::NO_SECRET;
use crate::config::reader::Reader;
use crate::config::secret::Secret;

/// How a mail connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// Plain at first, TLS before anything else or not at all.
    StartTls,
    /// TLS from the first byte.
    Tls,
    /// In the clear.
    None,
}

/// `[providers.smtp.NAME]`
#[derive(Clone, Debug)]
pub struct SmtpSettings {
    /// Name or IP address of the mail server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: SmtpTls,
    /// User and password, both or neither.
    pub credentials: Option<(String, Secret)>,
    /// The name given in EHLO; `None`: this machine's.
    pub helo: Option<String>,
    /// The part of Message-ID after the @; `None`: the sender's domain.
    pub message_id_domain: Option<String>,
    /// Connections at once.
    pub max_connections: usize,
    /// For the connection.
    pub connect_timeout: Duration,
    /// For the answer to each command before the message.
    pub command_timeout: Duration,
    /// For the answer to the message's end.
    pub data_timeout: Duration,
    /// A PEM file of authorities to trust instead of the public ones.
    pub ca_file: Option<PathBuf>,
}

/// Reads the section at `path`.
pub(super) fn read(reader: &mut Reader, path: &str) -> SmtpSettings {
    let at = |key: &str| format!("{path}.{key}");
    let host = reader.required_text(&at("host"), "the name or IP address of the mail server");
    let modes = [
        ("starttls", SmtpTls::StartTls),
        ("tls", SmtpTls::Tls),
        ("none", SmtpTls::None),
    ];
    let tls = reader.word(&at("tls"), &modes).unwrap_or(SmtpTls::StartTls);
    let usual = match tls {
        SmtpTls::StartTls => 587,
        SmtpTls::Tls => 465,
        SmtpTls::None => 25,
    };
    let port = reader
        .count(&at("port"), &(1..=65535))
        .and_then(|port| u16::try_from(port).ok());
    let short = Duration::from_millis(100)..=Duration::from_secs(300);
    SmtpSettings {
        credentials: credentials(reader, path, tls, &host),
        host,
        port: port.unwrap_or(usual),
        tls,
        helo: reader.optional_text(&at("helo")),
        message_id_domain: reader.optional_text(&at("message_id_domain")),
        max_connections: reader.count(&at("max_connections"), &(1..=64)).unwrap_or(4) as usize,
        connect_timeout: reader
            .duration(&at("connect_timeout"), &short)
            .unwrap_or(Duration::from_secs(10)),
        command_timeout: reader
            .duration(&at("command_timeout"), &short)
            .unwrap_or(Duration::from_secs(30)),
        data_timeout: reader
            .duration(
                &at("data_timeout"),
                &(Duration::from_secs(1)..=Duration::from_secs(600)),
            )
            .unwrap_or(Duration::from_secs(120)),
        ca_file: reader.readable_file(&at("ca_file")),
    }
}

fn credentials(
    reader: &mut Reader,
    path: &str,
    tls: SmtpTls,
    host: &str,
) -> Option<(String, Secret)> {
    let (user_path, file_path) = (format!("{path}.username"), format!("{path}.password_file"));
    let (user_origin, file_origin) = (reader.origin(&user_path), reader.origin(&file_path));
    match (reader.optional_text(&user_path), reader.secret(&file_path)) {
        (Some(user), Some(secret)) => {
            let local = host == "localhost"
                || host
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|ip| ip.is_loopback());
            if tls == SmtpTls::None && !local {
                reader.fault(
                    &user_origin,
                    &user_path,
                    "would send its password in the clear; set tls to \"starttls\" or \"tls\"",
                );
            }
            Some((user, secret))
        }
        (Some(_), None) => {
            reader.fault(&file_origin, &file_path, NO_SECRET);
            None
        }
        (None, Some(_)) => {
            reader.fault(
                &user_origin,
                &user_path,
                "is missing; give the user that the password belongs to",
            );
            None
        }
        (None, None) => None,
    }
}
