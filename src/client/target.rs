//! Where a gateway is, and what is shown to it: the address, a key, certificates, each from a file of its own.
//!
//! Checks that what is in the files can be used, and that a key does not leave this machine in the clear. Whether the gateway
//! takes it is the gateway's answer.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::{Certificate, ClientTlsConfig, Identity, Uri};
use tonic::{Request, Status};

use super::ClientError;
use crate::domain::caller::is_api_key;

/// A gateway, and as whom to call it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// `host:port`, `http://host:port` or `https://host:port`. Without a scheme it is https when a certificate is named.
    pub address: String,
    /// The file that holds the API key.
    pub api_key_file: Option<PathBuf>,
    /// The authority, in PEM, that the gateway's certificate is to be signed by; the public ones without it.
    pub ca_file: Option<PathBuf>,
    /// The caller's own certificate, in PEM.
    pub certificate_file: Option<PathBuf>,
    /// The key of that certificate, in PEM.
    pub key_file: Option<PathBuf>,
}

/// A target with its files read.
pub(super) struct Prepared {
    pub(super) uri: String,
    pub(super) tls: Option<ClientTlsConfig>,
    pub(super) credential: Credential,
}

/// What every call carries: an API key, or nothing.
#[derive(Clone, Debug, Default)]
pub struct Credential(Option<MetadataValue<Ascii>>);

impl Interceptor for Credential {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request
                .metadata_mut()
                .insert("authorization", value.clone());
        }
        Ok(request)
    }
}

impl Target {
    /// A gateway that asks for no credential.
    pub fn at(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            ..Self::default()
        }
    }

    /// Reads the files.
    pub(super) fn prepare(&self) -> Result<Prepared, ClientError> {
        let certified =
            self.ca_file.is_some() || self.certificate_file.is_some() || self.key_file.is_some();
        let (scheme, rest) = self
            .address
            .split_once("://")
            .unwrap_or((if certified { "https" } else { "http" }, &self.address));
        let uri = format!("{scheme}://{rest}");
        let tls = match scheme {
            "https" => Some(self.tls()?),
            "http" if certified => {
                return Err(unusable(
                    "http:// has no certificates; give https:// or host:port",
                ));
            }
            "http" => None,
            _ => {
                return Err(ClientError::Unreachable {
                    address: self.address.clone(),
                    cause: format!("{scheme}:// is not supported; give host:port"),
                });
            }
        };
        let credential = match &self.api_key_file {
            Some(_) if tls.is_none() && !stays_here(&uri) => {
                return Err(unusable(format!(
                    "the key would cross the network to {} in the clear; give https:// or --ca-file",
                    self.address
                )));
            }
            Some(file) => Credential(Some(bearer(file)?)),
            None => Credential::default(),
        };
        Ok(Prepared {
            uri,
            tls,
            credential,
        })
    }

    fn tls(&self) -> Result<ClientTlsConfig, ClientError> {
        let mut tls = ClientTlsConfig::new();
        tls = match &self.ca_file {
            Some(file) => tls.ca_certificate(Certificate::from_pem(certificates(file)?)),
            None => tls.with_webpki_roots(),
        };
        match (&self.certificate_file, &self.key_file) {
            (Some(certificate), Some(key)) => {
                let (certificate, key) = (certificates(certificate)?, private_key(key)?);
                Ok(tls.identity(Identity::from_pem(certificate, key)))
            }
            (None, None) => Ok(tls),
            _ => Err(unusable(
                "a certificate and its key go together: give --certificate-file and --key-file",
            )),
        }
    }
}

fn unusable(sentence: impl Into<String>) -> ClientError {
    ClientError::Unusable(sentence.into())
}

fn read(file: &Path) -> Result<Vec<u8>, ClientError> {
    fs::read(file).map_err(|error| unusable(format!("{} cannot be read: {error}", file.display())))
}

/// The header's value. What is in the file is not told: it may be a key of something else.
fn bearer(file: &Path) -> Result<MetadataValue<Ascii>, ClientError> {
    let text = read(file)?;
    let key = std::str::from_utf8(&text).map_or("", |text| text.trim_end_matches(['\r', '\n']));
    if !is_api_key(key) {
        return Err(unusable(format!(
            "{} holds no API key; it is one line that starts with tk_, as tidings keys new makes it",
            file.display()
        )));
    }
    let mut value = MetadataValue::try_from(format!("Bearer {key}"))
        .map_err(|_| unusable(format!("{} holds no API key", file.display())))?;
    value.set_sensitive(true);
    Ok(value)
}

fn certificates(file: &Path) -> Result<Vec<u8>, ClientError> {
    let pem = read(file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(pem),
        _ => Err(unusable(format!(
            "{} has no certificate in it; give one in PEM",
            file.display()
        ))),
    }
}

fn private_key(file: &Path) -> Result<Vec<u8>, ClientError> {
    let pem = read(file)?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
        unusable(format!(
            "{} has no private key in it that can be read without a password; give one in PEM",
            file.display()
        ))
    })?;
    Ok(pem)
}

/// Whether the address is this machine's, where nobody listens in between.
fn stays_here(uri: &str) -> bool {
    let Ok(uri) = uri.parse::<Uri>() else {
        return false;
    };
    let host = uri.host().unwrap_or_default();
    let ip = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || ip.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
