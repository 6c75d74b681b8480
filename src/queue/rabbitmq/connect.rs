//! One try to connect: TCP, TLS where it is asked for, the AMQP handshake; all within [`DEADLINE`].

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lapin::tcp::{AsyncTcpStream, RustlsConnector};
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{Connection, ConnectionProperties};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::settings::{Settings, Tls};

/// For all of it.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);
/// A peer that is silent for twice this long is gone, whichever side looks.
const HEARTBEAT_SECONDS: u16 = 5;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum CannotConnect {
    /// There is nowhere to connect to.
    #[error("no host of the broker is configured")]
    NoHost,
    /// A file of certificates or keys.
    #[error("{} holds no usable PEM: {why}", path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: rustls::pki_types::pem::Error,
    },
    /// Our own certificate and key, or the broker's name.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The name service.
    #[error("{host}:{port} is not known: {why}")]
    Unknown {
        /// Its name.
        host: String,
        /// Its port.
        port: u16,
        /// What the system says.
        why: std::io::Error,
    },
    /// TCP, TLS or the broker itself.
    #[error("{host}:{port} refused: {why}")]
    Refused {
        /// Its name.
        host: String,
        /// Its port.
        port: u16,
        /// What was said.
        why: lapin::Error,
    },
    /// It took too long.
    #[error("{host}:{port} did not answer in time")]
    Silent {
        /// Its name.
        host: String,
        /// Its port.
        port: u16,
    },
}

/// Where to connect to.
#[derive(Clone)]
pub(super) struct Host {
    name: String,
    port: u16,
}

impl Host {
    /// The one at this place of the list, which is gone through again and again.
    pub(super) fn of(settings: &Settings, place: usize) -> Result<Self, CannotConnect> {
        let place = place % settings.hosts.len().max(1);
        let (name, port) = settings.hosts.get(place).ok_or(CannotConnect::NoHost)?;
        Ok(Self {
            name: name.clone(),
            port: *port,
        })
    }

    pub(super) fn refused(&self, why: lapin::Error) -> CannotConnect {
        CannotConnect::Refused {
            host: self.name.clone(),
            port: self.port,
            why,
        }
    }

    pub(super) fn silent(&self) -> CannotConnect {
        CannotConnect::Silent {
            host: self.name.clone(),
            port: self.port,
        }
    }
}

/// Connects to a host; `name` is shown by the broker.
pub(super) async fn open(
    settings: &Settings,
    host: &Host,
    name: &str,
) -> Result<Connection, CannotConnect> {
    tokio::time::timeout(DEADLINE, opened(settings, host, name))
        .await
        .map_err(|_| host.silent())?
}

async fn opened(settings: &Settings, host: &Host, name: &str) -> Result<Connection, CannotConnect> {
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host.name.as_str(), host.port))
        .await
        .map_err(|why| CannotConnect::Unknown {
            host: host.name.clone(),
            port: host.port,
            why,
        })?
        .collect();
    let tls = match &settings.tls {
        Some(tls) => Some(RustlsConnector::from(secured(tls)?)),
        None => None,
    };
    let server = host.name.clone();
    let stream = async move |_: AMQPUri, runtime| {
        let tcp = AsyncTcpStream::connect(&runtime, addresses.clone()).await?;
        Ok(match &tls {
            Some(tls) => tcp.into_rustls(tls, &server).await?,
            None => tcp,
        })
    };
    // One try; the next one is the supervisor's.
    let properties = ConnectionProperties::default()
        .with_connection_name(name.into())
        .configure_backoff(|backoff| backoff.with_max_times(0));
    let runtime = lapin::runtime::default_runtime().map_err(|why| host.refused(why))?;
    Connection::connector(uri(settings, host), runtime, stream, properties)
        .await
        .map_err(|why| host.refused(why))
}

fn uri(settings: &Settings, host: &Host) -> AMQPUri {
    AMQPUri {
        scheme: match settings.tls {
            Some(_) => AMQPScheme::AMQPS,
            None => AMQPScheme::AMQP,
        },
        authority: AMQPAuthority {
            userinfo: AMQPUserInfo {
                username: settings.user.clone(),
                password: settings.password.clone(),
            },
            host: host.name.clone(),
            port: host.port,
        },
        vhost: settings.vhost.clone(),
        query: AMQPQueryString {
            heartbeat: Some(HEARTBEAT_SECONDS),
            ..AMQPQueryString::default()
        },
    }
}

fn secured(tls: &Tls) -> Result<ClientConfig, CannotConnect> {
    let mut roots = RootCertStore::empty();
    match &tls.ca_file {
        Some(path) => {
            for authority in certificates(path)? {
                roots.add(authority)?;
            }
        }
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    Ok(match &tls.identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = certificates(certificate)?;
            let key = PrivateKeyDer::from_pem_file(key).map_err(|why| bad_pem(key, why))?;
            builder.with_client_auth_cert(chain, key)?
        }
    })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CannotConnect> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
        .map_err(|why| bad_pem(path, why))?
        .collect();
    let all = all.map_err(|why| bad_pem(path, why))?;
    if all.is_empty() {
        return Err(bad_pem(path, rustls::pki_types::pem::Error::NoItemsFound));
    }
    Ok(all)
}

fn bad_pem(path: &Path, why: rustls::pki_types::pem::Error) -> CannotConnect {
    CannotConnect::Pem {
        path: path.to_owned(),
        why,
    }
}
