//! Where the broker is and how one signs in. Plain values: reading them from a configuration is another's work.

use std::fmt;
use std::path::PathBuf;

/// What is needed to reach a broker.
#[derive(Clone)]
pub struct Settings {
    /// Names and ports, tried in turn; one at least.
    pub hosts: Vec<(String, u16)>,
    /// The virtual host.
    pub vhost: String,
    /// Who signs in.
    pub user: String,
    /// Its password; it is in no log line and in no Debug.
    pub password: String,
    /// TLS; without it all goes in the clear.
    pub tls: Option<Tls>,
    /// The name of this process on the broker, other than that of every other process. The broker's log shows it.
    pub process: String,
    /// How many deliveries may come to a consumer before it has answered the first.
    pub prefetch: u16,
    /// How many jobs of one (channel, lane) are remembered as queued.
    pub window: usize,
}

/// How the connection is secured.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// A PEM file with the authorities that may have signed the broker's certificate, instead of the public ones.
    pub ca_file: Option<PathBuf>,
    /// PEM files with our own certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            hosts: vec![("localhost".into(), 5672)],
            vhost: "/".into(),
            user: "guest".into(),
            password: String::new(),
            tls: None,
            process: "tidings".into(),
            prefetch: 1,
            window: 10_000,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let password = if self.password.is_empty() {
            "none"
        } else {
            "***"
        };
        f.debug_struct("Settings")
            .field("hosts", &self.hosts)
            .field("vhost", &self.vhost)
            .field("user", &self.user)
            .field("password", &password)
            .field("tls", &self.tls)
            .field("process", &self.process)
            .field("prefetch", &self.prefetch)
            .field("window", &self.window)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_not_shown() {
        let settings = Settings {
            password: "hunter2".into(),
            ..Settings::default()
        };
        let shown = format!("{settings:?} {settings:#?}");
        assert!(
            !shown.contains("hunter2") && shown.contains("***"),
            "{shown}"
        );
    }
}
