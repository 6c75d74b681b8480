//! `[server.tls]`: the certificate that the gateway shows, and the authority that vouches for callers' certificates.
//!
//! The files are read once, and what would not work is told before a socket opens. What is not done here: renewing. A new
//! certificate takes effect with the next start.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use webpki::{EndEntityCert, KeyUsage};

use super::layers::Origin;
use super::reader::Reader;
use super::secret::{read_limited, read_private};
use crate::domain::clock::{Clock as _, SystemClock};

/// A chain with all its intermediates is far shorter.
const FILE_MAX_BYTES: u64 = 1024 * 1024;

/// HTTP/2 as TLS names it (RFC 9113, 3.2).
const HTTP2: &[u8] = b"h2";

/// `[server.tls]`, ready to be served.
#[derive(Clone)]
pub struct Tls {
    /// What the doors use.
    pub config: Arc<ServerConfig>,
    /// Whether callers' certificates can be verified.
    pub knows_clients: bool,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

/// One of the settings: where it stands and the file it names.
struct Setting {
    path: &'static str,
    origin: Origin,
    file: Option<PathBuf>,
}

impl Setting {
    fn take(reader: &mut Reader, path: &'static str) -> Self {
        Self {
            path,
            origin: reader.origin(path),
            file: reader.path(path),
        }
    }

    fn fault(&self, reader: &mut Reader, what: &str) {
        reader.fault(&self.origin, self.path, what);
    }

    /// What is in its file, or a fault.
    fn load<T>(
        &self,
        reader: &mut Reader,
        read: impl FnOnce(&Path) -> Result<T, String>,
    ) -> Option<T> {
        read(self.file.as_deref()?)
            .map_err(|what| self.fault(reader, &what))
            .ok()
    }
}

/// `None` without a certificate, and where something is wrong, which is told.
pub(super) fn read(reader: &mut Reader) -> Option<Tls> {
    reader.allow_empty("server.tls");
    let certificate = Setting::take(reader, "server.tls.certificate_file");
    let key = Setting::take(reader, "server.tls.key_file");
    let client_ca = Setting::take(reader, "server.tls.client_ca_file");
    match (&certificate.file, &key.file) {
        (Some(_), Some(_)) => {}
        (None, None) => {
            if client_ca.file.is_some() {
                client_ca.fault(reader, "needs server.tls.certificate_file and server.tls.key_file beside it: a caller shows its certificate to a server that shows one");
            }
            return None;
        }
        (Some(_), None) => {
            key.fault(
                reader,
                "is missing; give the key of server.tls.certificate_file",
            );
            return None;
        }
        (None, Some(_)) => {
            certificate.fault(
                reader,
                "is missing; give the certificate of server.tls.key_file",
            );
            return None;
        }
    }
    let chain = certificate.load(reader, chain);
    let private = key.load(reader, private_key);
    let knows_clients = client_ca.file.is_some();
    let roots = client_ca.load(reader, authorities);
    if knows_clients && roots.is_none() {
        return None;
    }
    match assemble(chain?, private?, roots) {
        Ok(config) => Some(Tls {
            config: Arc::new(config),
            knows_clients,
        }),
        Err(rustls::Error::InconsistentKeys(_)) => {
            key.fault(
                reader,
                "is not the key of the certificate in server.tls.certificate_file",
            );
            None
        }
        Err(error) => {
            certificate.fault(reader, &format!("cannot be served: {error}"));
            None
        }
    }
}

fn assemble(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    clients: Option<RootCertStore>,
) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let builder = match clients {
        Some(roots) => {
            // A caller may come without a certificate, with a key or to ask for health; a bad certificate ends the handshake.
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()
                .map_err(|error| rustls::Error::General(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key)?;
    config.alpn_protocols = vec![HTTP2.to_vec()];
    // A resumed session would be believed without looking at the caller's certificate again.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let shown = file.display();
    let pem = read_limited(file, FILE_MAX_BYTES)?;
    CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("{shown} cannot be read as PEM: {error}"))
}

/// The certificate with its intermediates. Its own time and use are looked at; who signed it is the clients' question.
fn chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let shown = file.display();
    let chain = certificates(file)?;
    let Some(first) = chain.first() else {
        return Err(format!(
            "{shown} has no certificate in it; give the gateway's own in PEM, and its intermediates behind it"
        ));
    };
    let leaf = EndEntityCert::try_from(first)
        .map_err(|error| format!("{shown} holds a certificate that is none: {error}"))?;
    let now = SystemClock
        .now()
        .duration_since(jiff::Timestamp::UNIX_EPOCH);
    let now = UnixTime::since_unix_epoch(Duration::try_from(now).unwrap_or_default());
    // Without a trusted authority the check ends at the issuer, behind what the certificate says of itself.
    let own = leaf
        .verify_for_usage(&[], &[], &[], now, KeyUsage::server_auth(), None, None)
        .map(|_| ());
    match own {
        Ok(()) | Err(webpki::Error::UnknownIssuer) => Ok(chain),
        Err(webpki::Error::CertExpired { .. }) => {
            Err(format!("{shown} has expired; put a new certificate there"))
        }
        Err(webpki::Error::CertNotValidYet { .. }) => Err(format!(
            "{shown} is not valid yet; put one there that is, or set the clock"
        )),
        Err(webpki::Error::CaUsedAsEndEntity) => Err(format!(
            "{shown} is an authority's certificate, which clients take from no server; give one that it has signed"
        )),
        Err(error) => Err(format!("{shown} is not for a server: {error}")),
    }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let shown = file.display();
    let pem = read_private(file, FILE_MAX_BYTES)?;
    let locked = pem.windows(9).any(|window| window == b"ENCRYPTED");
    if locked {
        return Err(format!(
            "{shown} is locked with a password, which nobody types at a start; unlock it with: openssl pkey -in FILE -out FILE"
        ));
    }
    // What is wrong with it is not told in detail: it is a key.
    PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|_| format!("{shown} has no private key in it; give the certificate's in PEM"))
}

fn authorities(file: &Path) -> Result<RootCertStore, String> {
    let shown = file.display();
    let certificates = certificates(file)?;
    if certificates.is_empty() {
        return Err(format!(
            "{shown} has no certificate in it; give the authority's in PEM"
        ));
    }
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots
            .add(certificate)
            .map_err(|error| format!("{shown} holds a certificate that is none: {error}"))?;
    }
    Ok(roots)
}
