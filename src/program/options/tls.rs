//! The settings of TLS, the same for serve, proxy and invalidate: the command line, and the tables `[tls]` and
//! `[upstream-tls]` of larder.toml.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde::Deserialize;

use crate::program::values::{PrintedSetting, TlsVersionName, parsed};
use crate::server::{ClientTls, ServerTls, TlsVersion};

/// The options of listeners that were given on the command line or in the `[tls]` table.
#[derive(Debug, Clone, Default, PartialEq, Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct TlsOptions {
    /// A PEM file with the certificate that clients see, and the chain to its authority. All TCP listeners then speak TLS;
    /// Unix sockets do not [default: none]
    #[arg(id = "tls-cert", long = "tls-cert", value_name = "FILE")]
    cert: Option<PathBuf>,

    /// The PEM file of the certificate's private key [default: none]
    #[arg(id = "tls-key", long = "tls-key", value_name = "FILE")]
    key: Option<PathBuf>,

    /// A PEM file of authorities. Clients then need a certificate of one of them [default: none]
    #[arg(id = "tls-client-ca", long = "tls-client-ca", value_name = "FILE")]
    client_ca: Option<PathBuf>,

    /// The oldest version of TLS that clients may speak, 1.2 or 1.3 [default: 1.2]
    #[arg(
        id = "tls-min-version",
        long = "tls-min-version",
        value_name = "1.2|1.3"
    )]
    #[serde(deserialize_with = "parsed")]
    min_version: Option<TlsVersionName>,
}

impl TlsOptions {
    /// These options if they were given, otherwise `file`'s.
    pub(crate) fn or(self, file: TlsOptions) -> TlsOptions {
        TlsOptions {
            cert: self.cert.or(file.cert),
            key: self.key.or(file.key),
            client_ca: self.client_ca.or(file.client_ca),
            min_version: self.min_version.or(file.min_version),
        }
    }

    /// TLS for the listeners, `None` if no certificate is given. Reads the files.
    pub(crate) fn listeners(&self) -> Result<Option<Arc<ServerTls>>, String> {
        match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => ServerTls::new(cert, key, self.client_ca.clone())
                .and_then(|tls| tls.with_oldest_version(self.oldest_version().0))
                .map(|tls| Some(Arc::new(tls)))
                .map_err(|error| error.to_string()),
            (Some(_), None) => Err("--tls-cert needs the key of the certificate: --tls-key FILE".into()),
            (None, Some(_)) => Err("--tls-key needs the certificate of the key: --tls-cert FILE".into()),
            (None, None) if self.client_ca.is_some() => Err(
                "--tls-client-ca needs a certificate for the listeners: --tls-cert FILE --tls-key FILE".into(),
            ),
            (None, None) => Ok(None),
        }
    }

    fn oldest_version(&self) -> TlsVersionName {
        self.min_version
            .unwrap_or(TlsVersionName(TlsVersion::Tls12))
    }

    /// Whether clients have to show certificates.
    pub(crate) fn asks_for_certificates(&self) -> bool {
        self.client_ca.is_some()
    }

    /// The settings as `larder config` prints them.
    pub(crate) fn printed(&self) -> Vec<PrintedSetting> {
        let TlsOptions {
            cert,
            key,
            client_ca,
            min_version,
        } = self;
        let version = min_version.map(|version| version.to_string());
        vec![
            PrintedSetting::path("tls-cert", cert.as_ref(), "/etc/larder/cert.pem"),
            PrintedSetting::path("tls-key", key.as_ref(), "/etc/larder/key.pem"),
            PrintedSetting::path(
                "tls-client-ca",
                client_ca.as_ref(),
                "/etc/larder/clients.pem",
            ),
            PrintedSetting::name("tls-min-version", version.as_ref(), "1.2"),
        ]
    }
}

/// The options of connections to upstreams that were given on the command line or in the `[upstream-tls]` table.
#[derive(Debug, Clone, Default, PartialEq, Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct UpstreamTlsOptions {
    /// A PEM file of the authorities of upstreams. They then have to speak TLS, with a certificate for the host by which
    /// they are named [default: none]
    #[arg(id = "upstream-tls-ca", long = "upstream-tls-ca", value_name = "FILE")]
    ca: Option<PathBuf>,

    /// A PEM file with the certificate that upstreams see, if they ask for one [default: none]
    #[arg(
        id = "upstream-tls-cert",
        long = "upstream-tls-cert",
        value_name = "FILE"
    )]
    cert: Option<PathBuf>,

    /// The PEM file of this certificate's private key [default: none]
    #[arg(
        id = "upstream-tls-key",
        long = "upstream-tls-key",
        value_name = "FILE"
    )]
    key: Option<PathBuf>,
}

impl UpstreamTlsOptions {
    /// These options if they were given, otherwise `file`'s.
    pub(crate) fn or(self, file: UpstreamTlsOptions) -> UpstreamTlsOptions {
        UpstreamTlsOptions {
            ca: self.ca.or(file.ca),
            cert: self.cert.or(file.cert),
            key: self.key.or(file.key),
        }
    }

    /// TLS for the upstreams, `None` if no authority is given. Reads the files.
    pub(crate) fn upstreams(&self) -> Result<Option<Arc<ClientTls>>, String> {
        let identity = match (self.cert.clone(), self.key.clone()) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => {
                return Err(
                    "--upstream-tls-cert FILE and --upstream-tls-key FILE belong together".into(),
                );
            }
        };
        match &self.ca {
            Some(ca) => ClientTls::new(ca, identity)
                .map(|tls| Some(Arc::new(tls)))
                .map_err(|error| error.to_string()),
            None if identity.is_some() => Err(
                "--upstream-tls-cert needs the authorities of the upstreams: --upstream-tls-ca FILE"
                    .into(),
            ),
            None => Ok(None),
        }
    }

    /// The settings as `larder config` prints them.
    pub(crate) fn printed(&self) -> Vec<PrintedSetting> {
        let UpstreamTlsOptions { ca, cert, key } = self;
        vec![
            PrintedSetting::path(
                "upstream-tls-ca",
                ca.as_ref(),
                "/etc/ssl/certs/ca-certificates.crt",
            ),
            PrintedSetting::path("upstream-tls-cert", cert.as_ref(), "/etc/larder/proxy.pem"),
            PrintedSetting::path("upstream-tls-key", key.as_ref(), "/etc/larder/proxy.key"),
        ]
    }
}

/// Reads the files of the upstreams' TLS again after a HUP.
pub(crate) fn reload_upstreams(tls: Option<&ClientTls>) {
    match tls.map(ClientTls::reload) {
        None => {}
        Some(Ok(())) => log::info!("reloaded: the authorities of the upstreams"),
        Some(Err(problem)) => {
            log::error!(
                "the authorities of the upstreams are not reloaded, the old ones stay: {problem}"
            );
        }
    }
}

/// Reads the files of the listeners again after a HUP.
pub(crate) fn reload_listeners(tls: Option<&ServerTls>) {
    match tls.map(ServerTls::reload) {
        None => {}
        Some(Ok(())) => log::info!("reloaded: the certificate of the listeners"),
        Some(Err(problem)) => {
            log::error!(
                "the certificate of the listeners is not reloaded, the old one stays: {problem}"
            );
        }
    }
}
