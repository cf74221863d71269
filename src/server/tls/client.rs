//! The configuration of connections to upstreams.

use std::io;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use rustls::ClientConfig;
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::ServerName;

use super::TlsStream;
use super::config::{Identity, TlsError, authorities, current, provider, replace, unusable};
use super::session::TlsSession;

/// TLS towards upstreams: the authorities of their certificates, and a certificate of our own.
#[derive(Debug)]
pub struct ClientTls {
    ca: PathBuf,
    identity: Option<Identity>,
    config: RwLock<Arc<ClientConfig>>,
}

impl ClientTls {
    /// Trusts servers whose certificate chains to one of those in the PEM file `ca`, and names the host that was
    /// connected to. `identity` is the certificate chain and the key that servers may ask for.
    ///
    /// # Errors
    /// When a file can't be read or used, or the key is not the certificate's.
    pub fn new(
        ca: impl Into<PathBuf>,
        identity: Option<(PathBuf, PathBuf)>,
    ) -> Result<ClientTls, TlsError> {
        let ca = ca.into();
        let identity = identity.map(|(certificate, key)| Identity { certificate, key });
        let config = RwLock::new(client_config(&ca, identity.as_ref())?);
        Ok(ClientTls {
            ca,
            identity,
            config,
        })
    }

    /// Reads the files again, for new connections.
    ///
    /// # Errors
    /// When one can't be used. The configuration in use stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        let config = client_config(&self.ca, self.identity.as_ref())?;
        replace(&self.config, config);
        Ok(())
    }

    /// The stream of a connection to this `host:port`. The handshake is still to come.
    pub(crate) fn connect(&self, socket: TcpStream, address: &str) -> io::Result<TlsStream> {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let session = TlsSession::client(current(&self.config), name).map_err(io::Error::other)?;
        Ok(TlsStream::new(socket, session))
    }
}

fn client_config(ca: &Path, identity: Option<&Identity>) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = provider();
    let roots = Arc::new(authorities(ca)?);
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
        .build()
        .map_err(|error| unusable(ca, &error))?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError(error.to_string()))?
        .with_webpki_verifier(verifier);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let (chain, key) = identity.read()?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| identity.unusable(&error))?
        }
    };
    Ok(Arc::new(config))
}
