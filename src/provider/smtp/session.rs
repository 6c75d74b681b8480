//! One conversation with a server: connect, secure, sign in, then one command at a time, each with its own deadline.
//!
//! lettre writes the commands and reads the replies; what a reply means is read from the bytes themselves, so that a second
//! reply, a reply out of turn or half a reply is noticed. It does not decide what becomes of the mail, and it does not
//! put anything back in order: the caller drops a session on any doubt.

use std::fmt::Display;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Quit, Starttls};
use lettre::transport::smtp::extension::{ClientId, Extension};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::line::{Line, Socket};
use super::reply::{Heard, Reply, read};
use super::{SmtpSettings, TlsMode};
use crate::domain::pulse::Pulse;

/// A body leaves at no less than this many bytes a second, on top of the deadline of the final dot.
const SLOWEST_BODY_BYTES_PER_SECOND: u64 = 32 * 1024;

/// An open conversation, ready for MAIL.
pub(super) struct Session {
    smtp: AsyncSmtpConnection,
    line: Line,
    command_deadline: Duration,
    data_deadline: Duration,
    /// When it was put aside, to know how long it has been idle.
    pub(super) kept_since: Timestamp,
}

/// How the hand-over of a body ended.
#[derive(Debug)]
pub(super) enum BodyEnd {
    /// The server answered the final dot, with nothing else.
    Answered(Reply),
    /// The final dot may have left, and what came back is no clear answer.
    Unclear(String),
    /// The final dot has not left.
    Unsent(String),
}

impl Session {
    /// Connects and goes as far as the server lets mail begin.
    ///
    /// # Errors
    /// A sentence; nothing of any mail was sent.
    pub(super) async fn open(
        settings: &SmtpSettings,
        tls: &TlsConnector,
        now: Timestamp,
    ) -> Result<Self, String> {
        let connect = Duration::from_millis(settings.connect_ms);
        let command = Duration::from_millis(settings.command_ms);
        let line = within(connect, "the connection", connect_tcp(settings)).await?;
        let hello = ClientId::Domain(settings.helo_name.clone());
        let line = match settings.tls {
            TlsMode::None => line,
            TlsMode::Tls => {
                let encrypted = encrypt(settings, tls, &line, false);
                within(connect, "the TLS handshake", encrypted).await?
            }
            TlsMode::Starttls => {
                let asked = ask_for_tls(&line, &hello);
                within(command, "STARTTLS", asked).await?;
                let encrypted = encrypt(settings, tls, &line, true);
                within(connect, "the TLS handshake", encrypted).await?
            }
        };
        let smtp = within(command, "EHLO", greet(&line, &hello)).await?;
        let mut session = Self {
            smtp,
            line,
            command_deadline: command,
            data_deadline: Duration::from_millis(settings.final_dot_ms),
            kept_since: now,
        };
        if !settings.username.is_empty() {
            within(command, "AUTH", session.sign_in(settings)).await?;
        }
        Ok(session)
    }

    async fn sign_in(&mut self, settings: &SmtpSettings) -> Result<(), String> {
        let credentials = Credentials::new(
            settings.username.clone(),
            settings.password.reveal().to_owned(),
        );
        self.line.listen();
        let answered = self
            .smtp
            .auth(&[Mechanism::Plain, Mechanism::Login], &credentials)
            .await;
        match answered {
            Ok(reply) if reply.has_code(235) && self.line.is_quiet() => Ok(()),
            Ok(reply) => Err(format!("the sign-in ended with {}", reply.code())),
            Err(error) => Err(format!(
                "the sign-in was refused; check username and password: {error}"
            )),
        }
    }

    /// Whether the server takes addresses outside ASCII.
    pub(super) fn takes_utf8_addresses(&self) -> bool {
        self.smtp
            .server_info()
            .supports_feature(Extension::SmtpUtfEight)
    }

    /// Whether the server is there and silent, so that the conversation may go on.
    pub(super) fn is_quiet(&self) -> bool {
        self.line.is_quiet()
    }

    /// One command, one reply, whatever its code.
    ///
    /// # Errors
    /// A sentence, when there was no reply, not in time, not readable or not alone. The session must be dropped.
    pub(super) async fn say(&mut self, command: impl Display) -> Result<Reply, String> {
        if !self.line.is_quiet() {
            return Err("the server hung up or spoke out of turn".to_owned());
        }
        self.line.listen();
        let spoken = tokio::time::timeout(self.command_deadline, self.smtp.command(command)).await;
        match (read(&self.line.heard()), spoken) {
            (Heard::One(reply), _) => Ok(reply),
            (Heard::Surplus(reply, _), _) => Err(format!("more than one reply at once: {reply}")),
            (Heard::Unreadable, _) => Err("the reply is not SMTP".to_owned()),
            (Heard::Partial, Ok(Err(error))) => Err(format!("no reply: {error}")),
            (Heard::Partial, Ok(Ok(_))) => Err("half a reply".to_owned()),
            (Heard::Partial, Err(_)) => Err(format!("no reply within {:?}", self.command_deadline)),
        }
    }

    /// The body and the final dot, after DATA was answered by 354.
    pub(super) async fn body(&mut self, bytes: &[u8], pulse: &Arc<Pulse>) -> BodyEnd {
        if !self.line.is_quiet() {
            return BodyEnd::Unsent("the server answered before it had the mail".to_owned());
        }
        self.line.listen();
        self.line.heed(pulse);
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let deadline =
            self.data_deadline + Duration::from_secs(size / SLOWEST_BODY_BYTES_PER_SECOND);
        let sent = tokio::time::timeout(deadline, self.smtp.message(bytes)).await;
        if !self.line.dot_begun() {
            return BodyEnd::Unsent(match sent {
                Ok(Err(error)) => {
                    format!("the connection broke in the middle of the mail: {error}")
                }
                _ => format!("the mail did not go through within {deadline:?}"),
            });
        }
        match (read(&self.line.heard()), sent) {
            (Heard::One(reply), _) => BodyEnd::Answered(reply),
            // A server may say good-bye right after it took the mail.
            (Heard::Surplus(reply, rest), _) if reply.code == 250 && rest.starts_with(b"421") => {
                BodyEnd::Answered(reply)
            }
            (Heard::Surplus(reply, _), _) => {
                BodyEnd::Unclear(format!("more than one answer to the mail, first {reply}"))
            }
            (Heard::Unreadable, _) => {
                BodyEnd::Unclear("the answer to the mail is not SMTP".to_owned())
            }
            (Heard::Partial, Ok(Err(error))) => {
                BodyEnd::Unclear(format!("no answer to the mail: {error}"))
            }
            (Heard::Partial, Ok(Ok(_))) => {
                BodyEnd::Unclear("half an answer to the mail".to_owned())
            }
            (Heard::Partial, Err(_)) => {
                BodyEnd::Unclear(format!("no answer to the mail within {deadline:?}"))
            }
        }
    }

    /// Says good-bye; how the server takes it does not matter.
    pub(super) async fn quit(mut self) {
        let _ = self.say(Quit).await;
    }
}

async fn within<T>(
    deadline: Duration,
    what: &str,
    work: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    tokio::time::timeout(deadline, work)
        .await
        .unwrap_or_else(|_| Err(format!("{what} took longer than {deadline:?}")))
}

async fn connect_tcp(settings: &SmtpSettings) -> Result<Line, String> {
    let at = (settings.host.as_str(), settings.port);
    let failed = |error: std::io::Error| format!("cannot connect to {}:{}: {error}", at.0, at.1);
    let socket = TcpStream::connect(at).await.map_err(failed)?;
    // Without it the final dot waits 40 ms for the acknowledgement of the body.
    socket.set_nodelay(true).map_err(failed)?;
    let peer = socket.peer_addr().map_err(failed)?;
    if settings.tls == TlsMode::None && !settings.username.is_empty() && !is_loopback(peer.ip()) {
        return Err(
            "no password is sent over a connection without TLS: set tls to starttls or tls"
                .to_owned(),
        );
    }
    Ok(Line::new(Socket::Plain(socket), peer))
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// Greeting and EHLO. Both replies must be there, and nothing more.
async fn greet(line: &Line, hello: &ClientId) -> Result<AsyncSmtpConnection, String> {
    line.listen();
    let smtp = AsyncSmtpConnection::connect_with_transport(Box::new(line.clone()), hello)
        .await
        .map_err(|error| format!("the server does not let us begin: {error}"))?;
    let heard = line.heard();
    match read(&heard) {
        Heard::Surplus(_, rest) if matches!(read(&rest), Heard::One(_)) => Ok(smtp),
        _ => Err("the greeting is not SMTP".to_owned()),
    }
}

/// The plain part of STARTTLS. What the server says after its 220, still unencrypted, would be taken for encrypted later
/// (CVE-2011-0411), so anything but exactly one reply ends it.
async fn ask_for_tls(line: &Line, hello: &ClientId) -> Result<(), String> {
    let mut smtp = greet(line, hello).await?;
    if !smtp.can_starttls() {
        return Err(
            "the server does not offer STARTTLS; nothing is sent unencrypted (tls = none allows it)"
                .to_owned(),
        );
    }
    line.listen();
    let asked = smtp.command(Starttls).await;
    match (read(&line.heard()), asked) {
        (Heard::One(reply), Ok(_)) if reply.code == 220 => Ok(()),
        (Heard::One(reply), _) => Err(format!("STARTTLS was refused: {reply}")),
        _ => Err("STARTTLS was not answered by one clear reply".to_owned()),
    }
}

async fn encrypt(
    settings: &SmtpSettings,
    tls: &TlsConnector,
    line: &Line,
    greeted: bool,
) -> Result<Line, String> {
    use lettre::transport::smtp::client::AsyncTokioStream as _;
    let peer = line.peer_addr().map_err(|error| error.to_string())?;
    let Socket::Plain(socket) = line.take() else {
        return Err("the connection is encrypted already".to_owned());
    };
    let name = ServerName::try_from(settings.host.clone())
        .map_err(|_| format!("{} is no name that a certificate can have", settings.host))?;
    let stream = tls
        .connect(name, socket)
        .await
        .map_err(|error| format!("no trust in the server's TLS: {error}"))?;
    let socket = Socket::Tls(Box::new(stream));
    Ok(if greeted {
        Line::with_greeting(socket, peer)
    } else {
        Line::new(socket, peer)
    })
}

/// A TLS client that trusts the public authorities and those of a PEM file.
///
/// # Errors
/// When the file cannot be read or holds no certificate.
pub(super) fn tls_connector(settings: &SmtpSettings) -> Result<TlsConnector, String> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;

    let mut roots = rustls::RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    if let Some(path) = &settings.extra_ca {
        let unusable = |why: String| format!("ca_file {} {why}", path.display());
        let certificates = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| unusable(format!("cannot be read as PEM: {error}")))?;
        if certificates.is_empty() {
            return Err(unusable(
                "has no certificate in it; give the authority's in PEM".to_owned(),
            ));
        }
        for certificate in certificates {
            roots
                .add(certificate)
                .map_err(|error| unusable(format!("has a certificate that is none: {error}")))?;
        }
    }
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .map_err(|error| error.to_string())?
    .with_root_certificates(roots)
    .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
