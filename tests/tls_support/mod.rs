//! Certificates and TLS clients for tests. The authority and its certificates are made when the test runs, so none expires.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses a part of it"
)]

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};
use tempfile::TempDir;

/// The longest time that a client waits.
const PATIENCE: Duration = Duration::from_secs(60);

/// Both versions that larder speaks.
pub const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// A client with TLS.
pub type TlsClient = StreamOwned<ClientConnection, TcpStream>;

/// An authority, and the directory with the files of its certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    directory: TempDir,
}

/// The files of a certificate and its key.
#[derive(Clone)]
pub struct Identity {
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        // OpenSSL is strict about authorities.
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
            .distinguished_name
            .push(DnType::CommonName, "an authority for tests");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("ca.pem"), certificate.pem()).expect("a file");
        Authority {
            issuer: Issuer::new(params, key),
            directory,
        }
    }

    /// The file of its own certificate.
    pub fn ca(&self) -> PathBuf {
        self.path("ca.pem")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Makes a certificate for 127.0.0.1 and localhost, in files of this name.
    pub fn issue(&self, name: &str) -> Identity {
        self.issue_for(name, &["localhost", "127.0.0.1"])
    }

    /// Makes a certificate for these hosts.
    pub fn issue_for(&self, name: &str, hosts: &[&str]) -> Identity {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).expect("valid names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let identity = Identity {
            cert: self.path(&format!("{name}.pem")),
            key: self.path(&format!("{name}.key")),
        };
        fs::write(&identity.cert, certificate.pem()).expect("a file");
        fs::write(&identity.key, key.serialize_pem()).expect("a file");
        identity
    }

    /// A client's configuration that trusts this authority.
    pub fn trusting(
        &self,
        version: &'static SupportedProtocolVersion,
        identity: Option<&Identity>,
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        for certificate in read_certificates(&self.ca()) {
            roots.add(certificate).expect("an authority");
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .expect("a version")
            .with_root_certificates(roots);
        Arc::new(match identity {
            None => builder.with_no_client_auth(),
            Some(Identity { cert, key }) => {
                let key = PrivateKeyDer::from_pem_file(key).expect("a key");
                let chain = read_certificates(cert);
                builder.with_client_auth_cert(chain, key).expect("a pair")
            }
        })
    }

    /// Connects with TLS 1.3. The handshake follows with the first bytes.
    pub fn connect(&self, address: SocketAddr) -> TlsClient {
        connect(address, self.trusting(&TLS13, None))
    }
}

pub fn connect(address: SocketAddr, config: Arc<ClientConfig>) -> TlsClient {
    StreamOwned::new(session(config), tcp(address))
}

/// A client's session without a socket.
pub fn session(config: Arc<ClientConfig>) -> ClientConnection {
    let name = ServerName::try_from("localhost").expect("a name");
    ClientConnection::new(config, name).expect("a session")
}

/// A socket that waits for a minute at most.
pub fn tcp(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).expect("connect");
    socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
    socket.set_write_timeout(Some(PATIENCE)).expect("timeout");
    socket
}

/// The certificate that the server has shown.
pub fn shown(client: &TlsClient) -> Vec<u8> {
    let chain = client.conn.peer_certificates().expect("a handshake");
    chain[0].to_vec()
}

pub fn read_certificates(file: &Path) -> Vec<CertificateDer<'static>> {
    let certificates = CertificateDer::pem_file_iter(file).expect("a file");
    certificates.map(|one| one.expect("PEM")).collect()
}
