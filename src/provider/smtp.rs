//! The mail provider: one try over a real SMTP dialogue.
//!
//! Promise: only the reply 250 to this mail's final dot, alone on its connection, is success. Before the final dot a lost
//! connection is [`Handover::Retry`], after it [`Handover::Unknown`]. One recipient a transaction; a deadline for each
//! command; a connection that gave any doubt, or whose call was dropped, is never used again.
//! It does not sign mails (the relay does) and does not retry.
//!
//! Why not lettre's own pool: cancelled while it waits for the last reply, it gives the next mail that reply.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use lettre::transport::smtp::commands::{Data, Mail as MailFrom, Noop, Rcpt};
use lettre::transport::smtp::extension::MailParameter;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;

use super::secret::Secret;
use super::{About, Handover, Provider, reply_for};
use crate::domain::channel::Channel;
use crate::domain::clock::Clock;
use crate::domain::content::Outgoing;
use crate::domain::pulse::Pulse;

mod line;
mod mime;
mod reply;
mod session;

use mime::Mail;
pub use mime::source;
use reply::{Reply, Step};
use session::{BodyEnd, Session};

/// A connection idle for longer is not used again: something in between has forgotten it.
const MAX_IDLE: Duration = Duration::from_secs(60);

/// How a connection is secured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsMode {
    /// Not at all: for a relay on this machine.
    None,
    /// From the first byte, usually port 465.
    Tls,
    /// Upgraded by STARTTLS, usually port 587. A server that does not offer it gets nothing.
    #[default]
    Starttls,
}

/// Where and how mail is handed over.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SmtpSettings {
    /// The relay's name, also the one its certificate must have.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is secured.
    pub tls: TlsMode,
    /// Empty: no sign-in.
    pub username: String,
    /// For the sign-in.
    pub password: Secret,
    /// A PEM file of authorities trusted besides the public ones.
    pub extra_ca: Option<PathBuf>,
    /// How we introduce ourselves.
    pub helo_name: String,
    /// Right of the @ in Message-ID.
    pub message_id_domain: String,
    /// How many connections at once, at least one.
    pub max_connections: usize,
    /// For the TCP connection, and for the TLS handshake, in milliseconds.
    pub connect_ms: u64,
    /// For the reply to one command, in milliseconds.
    pub command_ms: u64,
    /// For the reply to the final dot, in milliseconds; large mails get more.
    pub final_dot_ms: u64,
}

impl Default for SmtpSettings {
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            port: 587,
            tls: TlsMode::default(),
            username: String::new(),
            password: Secret::default(),
            extra_ca: None,
            helo_name: "localhost".to_owned(),
            message_id_domain: "localhost".to_owned(),
            max_connections: 8,
            connect_ms: 10_000,
            command_ms: 30_000,
            final_dot_ms: 120_000,
        }
    }
}

/// Mail by SMTP.
pub struct Smtp {
    settings: SmtpSettings,
    tls: TlsConnector,
    clock: Arc<dyn Clock>,
    pulse: Arc<Pulse>,
    room: Semaphore,
    /// Connections that ended their last mail without any doubt. One in use is not among them.
    kept: Mutex<Vec<Session>>,
}

/// What came of a mail on one connection.
enum Course {
    Done(Handover),
    /// The kept connection was no longer good, and nothing of the mail was sent.
    Stale,
}

impl Smtp {
    /// Checks the settings; connects to nothing yet.
    ///
    /// # Errors
    /// A sentence about the setting to change.
    pub fn new(settings: SmtpSettings, clock: Arc<dyn Clock>) -> Result<Self, String> {
        for (name, value) in [
            ("host", &settings.host),
            ("helo_name", &settings.helo_name),
            ("message_id_domain", &settings.message_id_domain),
        ] {
            if !is_host_name(value) {
                return Err(format!("{name} {value:?} is not a host name"));
            }
        }
        if !settings.username.is_empty() && settings.password.is_empty() {
            return Err("there is a username but no password".to_owned());
        }
        let tls = session::tls_connector(&settings)?;
        Ok(Self {
            tls,
            clock,
            pulse: Arc::new(Pulse::alone()),
            room: Semaphore::new(settings.max_connections.clamp(1, 1_000)),
            kept: Mutex::default(),
            settings,
        })
    }

    /// With a process that may lose its right to hand over between the first byte and the final dot.
    #[must_use]
    pub fn with_pulse(mut self, pulse: Arc<Pulse>) -> Self {
        self.pulse = pulse;
        self
    }

    async fn deliver(&self, outgoing: &Outgoing, mail: &Mail) -> Handover {
        let patience = Duration::from_millis(self.settings.connect_ms);
        let Ok(Ok(_permit)) = tokio::time::timeout(patience, self.room.acquire()).await else {
            return retry(
                outgoing,
                About::Message,
                "all connections to the mail server are busy",
            );
        };
        if let Some(session) = self.take_kept() {
            match self.converse(session, true, outgoing, mail).await {
                Course::Done(handover) => return handover,
                Course::Stale => {}
            }
        }
        match Session::open(&self.settings, &self.tls, self.clock.now()).await {
            Ok(session) => match self.converse(session, false, outgoing, mail).await {
                Course::Done(handover) => handover,
                Course::Stale => broken(outgoing, "the mail server hung up"),
            },
            Err(why) => broken(outgoing, &why),
        }
    }

    /// One mail on one connection, which is dropped on every way out but the last.
    async fn converse(
        &self,
        mut session: Session,
        was_kept: bool,
        outgoing: &Outgoing,
        mail: &Mail,
    ) -> Course {
        let mut parameters = Vec::new();
        if mail.needs_utf8_addresses() {
            if !session.takes_utf8_addresses() {
                let why = "the mail server does not take addresses outside ASCII (SMTPUTF8)";
                return Course::Done(rejected(outgoing, About::Message, false, why));
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        match session
            .say(MailFrom::new(Some(mail.from.clone()), parameters))
            .await
        {
            Ok(reply) if reply.code == 250 => {}
            // On a kept connection even a refusal may be a late word about the mail before.
            _ if was_kept => return Course::Stale,
            Ok(reply) => return Course::Done(refused(outgoing, Step::Sender, &reply)),
            Err(why) => return Course::Done(broken(outgoing, &why)),
        }
        match session.say(Rcpt::new(mail.to.clone(), Vec::new())).await {
            Ok(reply) if matches!(reply.code, 250 | 251) => {}
            Ok(reply) => return Course::Done(refused(outgoing, Step::Recipient, &reply)),
            Err(why) => return Course::Done(broken(outgoing, &why)),
        }
        match session.say(Data).await {
            Ok(reply) if reply.code == 354 => {}
            Ok(reply) => return Course::Done(refused(outgoing, Step::Data, &reply)),
            Err(why) => return Course::Done(broken(outgoing, &why)),
        }
        Course::Done(match session.body(&mail.bytes, &self.pulse).await {
            BodyEnd::Answered(reply) if reply.code == 250 => {
                self.keep(session);
                accepted(outgoing, &reply)
            }
            BodyEnd::Answered(reply) if reply.code < 400 => {
                unknown(outgoing, &format!("an answer that means nothing: {reply}"))
            }
            BodyEnd::Answered(reply) => refused(outgoing, Step::Mail, &reply),
            BodyEnd::Unclear(why) => unknown(outgoing, &why),
            // Nothing that the server did.
            BodyEnd::Unsent(why) if !self.pulse.may_send() => retry(outgoing, About::Message, &why),
            BodyEnd::Unsent(why) => broken(outgoing, &why),
        })
    }

    fn take_kept(&self) -> Option<Session> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        while let Some(session) = kept.pop() {
            let idle = now.duration_since(session.kept_since);
            if session.is_quiet() && idle.unsigned_abs() <= MAX_IDLE {
                return Some(session);
            }
        }
        None
    }

    fn keep(&self, mut session: Session) {
        if session.is_quiet() {
            session.kept_since = self.clock.now();
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.push(session);
        }
    }
}

#[async_trait]
impl Provider for Smtp {
    fn name(&self) -> &str {
        "smtp"
    }

    fn channel(&self) -> Channel {
        Channel::Email
    }

    fn reports_delivery(&self) -> bool {
        false
    }

    fn fingerprint(&self, outgoing: &Outgoing) -> Vec<u8> {
        mime::fingerprint(outgoing, &self.settings.message_id_domain)
    }

    async fn send(&self, outgoing: &Outgoing) -> Handover {
        let now = self.clock.now();
        match mime::build(outgoing, &self.settings.message_id_domain, now) {
            Ok(mail) => self.deliver(outgoing, &mail).await,
            Err(why) => rejected(outgoing, About::Message, false, &why),
        }
    }

    async fn check(&self) -> Result<String, String> {
        let mut session = Session::open(&self.settings, &self.tls, self.clock.now()).await?;
        let reply = session.say(Noop).await?;
        session.quit().await;
        let SmtpSettings { host, port, .. } = &self.settings;
        Ok(format!("{host}:{port} answers ({})", reply.code))
    }
}

fn is_host_name(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-.:".contains(&byte))
}

fn accepted(outgoing: &Outgoing, reply: &Reply) -> Handover {
    Handover::Accepted {
        provider_message_id: String::new(),
        reply: reply_for(outgoing, &reply.to_string()),
    }
}

/// Sign-in wanted or commands out of order are faults of ours, not of this mail.
fn refused(outgoing: &Outgoing, step: Step, reply: &Reply) -> Handover {
    let (about, words) = (reply.about(step), reply.to_string());
    let address_dead = step == Step::Recipient && reply.says_no_such_mailbox();
    match reply.code {
        503 | 530 | 535 | 538 => retry(outgoing, About::Provider, &words),
        500..=599 => rejected(outgoing, about, address_dead, &words),
        _ => retry(outgoing, about, &words),
    }
}

fn rejected(outgoing: &Outgoing, about: About, address_dead: bool, words: &str) -> Handover {
    Handover::Rejected {
        about,
        address_dead,
        reply: reply_for(outgoing, words),
    }
}

fn retry(outgoing: &Outgoing, about: About, words: &str) -> Handover {
    Handover::Retry {
        after: None,
        throttled: false,
        about,
        reply: reply_for(outgoing, words),
    }
}

/// There was no conversation, or it broke off.
fn broken(outgoing: &Outgoing, words: &str) -> Handover {
    retry(outgoing, About::Provider, words)
}

fn unknown(outgoing: &Outgoing, words: &str) -> Handover {
    Handover::Unknown {
        reply: reply_for(outgoing, words),
    }
}
