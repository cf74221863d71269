//! Certificates, keys and trust from PEM files, and the configuration of listeners that is made of them.
//!
//! The files are read when the program starts and when [`reload`](ServerTls::reload) is called. If a new file is bad, the
//! configuration stays as it was. New connections get the new one, open connections keep theirs.
//!
//! TLS 1.2 and 1.3 are offered, with the cipher suites that rustls considers safe. Sessions can be resumed until the next
//! reload, so a client whose authority was removed can't resume an older one.

use std::fmt;
use std::io;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

use super::TlsStream;
use super::session::TlsSession;
use crate::server::certificates::Certificates;

/// The reason why files can't be used: a sentence that names the file.
#[derive(Debug)]
pub struct TlsError(pub(super) String);

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsError {}

/// A certificate chain and its key.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// The versions for clients of [`TlsVersion::Tls13`].
static ONLY_TLS13: &[&SupportedProtocolVersion] = &[&TLS13];

/// The oldest version of TLS that clients may speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[default]
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// TLS for listeners: the certificate that clients see, and the authorities of their own certificates.
#[derive(Debug)]
pub struct ServerTls {
    identity: Identity,
    client_ca: Option<PathBuf>,
    oldest: TlsVersion,
    config: RwLock<Arc<ServerConfig>>,
    read_at: RwLock<Instant>,
}

impl ServerTls {
    /// Reads a certificate chain and its key from PEM files. With `client_ca`, a file of certificates, clients need a
    /// certificate that chains to one of them.
    ///
    /// # Errors
    /// When a file can't be read or used, or the key is not the certificate's.
    pub fn new(
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
        client_ca: Option<PathBuf>,
    ) -> Result<ServerTls, TlsError> {
        let identity = Identity {
            certificate: certificate.into(),
            key: key.into(),
        };
        let oldest = TlsVersion::default();
        let config = server_config(&identity, client_ca.as_deref(), oldest)?;
        Ok(ServerTls {
            identity,
            client_ca,
            oldest,
            config: RwLock::new(config),
            read_at: RwLock::new(Instant::now()),
        })
    }

    /// Sets the oldest version of TLS that clients may speak, 1.2 otherwise.
    ///
    /// # Errors
    /// When a file can't be used, as in [`ServerTls::new`].
    pub fn with_oldest_version(mut self, oldest: TlsVersion) -> Result<ServerTls, TlsError> {
        self.oldest = oldest;
        self.reload()?;
        Ok(self)
    }

    /// Reads the files again, for new connections.
    ///
    /// # Errors
    /// When one can't be used. The certificate in use stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        let config = server_config(&self.identity, self.client_ca.as_deref(), self.oldest)?;
        replace(&self.config, config);
        *self.read_at.write().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        Ok(())
    }

    /// The stream of an accepted connection. The handshake is still to come.
    pub(crate) fn accept(&self, socket: TcpStream) -> io::Result<TlsStream> {
        let session = TlsSession::server(current(&self.config)).map_err(io::Error::other)?;
        Ok(TlsStream::new(socket, session))
    }
}

impl Certificates for ServerTls {
    fn read_again(&self) -> Result<(), String> {
        self.reload().map_err(|error| error.to_string())
    }

    fn age(&self) -> Duration {
        let read_at = self.read_at.read().unwrap_or_else(PoisonError::into_inner);
        read_at.elapsed()
    }

    fn chain(&self) -> &Path {
        &self.identity.certificate
    }

    fn key(&self) -> &Path {
        &self.identity.key
    }

    fn client_ca(&self) -> Option<&Path> {
        self.client_ca.as_deref()
    }

    fn oldest_version(&self) -> &'static str {
        match self.oldest {
            TlsVersion::Tls12 => "1.2",
            TlsVersion::Tls13 => "1.3",
        }
    }
}

pub(super) fn current<T>(config: &RwLock<Arc<T>>) -> Arc<T> {
    Arc::clone(&config.read().unwrap_or_else(PoisonError::into_inner))
}

pub(super) fn replace<T>(config: &RwLock<Arc<T>>, new: Arc<T>) {
    *config.write().unwrap_or_else(PoisonError::into_inner) = new;
}

fn server_config(
    identity: &Identity,
    client_ca: Option<&Path>,
    oldest: TlsVersion,
) -> Result<Arc<ServerConfig>, TlsError> {
    let versions = match oldest {
        TlsVersion::Tls12 => rustls::DEFAULT_VERSIONS,
        TlsVersion::Tls13 => ONLY_TLS13,
    };
    let provider = provider();
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(|error| TlsError(error.to_string()))?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let roots = Arc::new(authorities(path)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                .build()
                .map_err(|error| unusable(path, &error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let (chain, key) = identity.read()?;
    let config = builder
        .with_single_cert(chain, key)
        .map_err(|error| identity.unusable(&error))?;
    Ok(Arc::new(config))
}

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

impl Identity {
    pub(super) fn read(
        &self,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| unreadable(&self.key, "private key", &error))?;
        Ok((certificates(&self.certificate)?, key))
    }

    pub(super) fn unusable(&self, error: &rustls::Error) -> TlsError {
        TlsError(format!(
            "the certificate in {} and the key in {} can't be used: {error}",
            self.certificate.display(),
            self.key.display(),
        ))
    }
}

/// The certificates of a PEM file, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).and_then(|certificates| certificates.collect());
    match found {
        Ok(found) if found.is_empty() => {
            Err(unreadable(path, "certificate", &pem::Error::NoItemsFound))
        }
        found => found.map_err(|error| unreadable(path, "certificate", &error)),
    }
}

pub(super) fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots
            .add(certificate)
            .map_err(|error| unusable(path, &error))?;
    }
    Ok(roots)
}

fn unreadable(path: &Path, kind: &str, error: &pem::Error) -> TlsError {
    let path = path.display();
    TlsError(match error {
        pem::Error::Io(error) => format!("can't read {path}: {error}"),
        pem::Error::NoItemsFound => format!("{path} has no {kind} in PEM format"),
        error => format!("{path} is not a PEM file: {error:?}"),
    })
}

pub(super) fn unusable(path: &Path, error: &dyn fmt::Display) -> TlsError {
    TlsError(format!(
        "the certificates in {} can't be used: {error}",
        path.display()
    ))
}
