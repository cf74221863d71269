//! Options of clients about the protocol, the login and TLS.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use crate::client::{Protocol, Settings};
use crate::program::password::{UPSTREAM_PASSWORD, password};
use crate::server::ClientTls;

/// The user that Redis has without being told.
const DEFAULT_USER: &str = "default";

/// The protocol, the login and TLS.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct AccessOptions {
    /// Ask in RESP, Redis's protocol
    #[arg(help_heading = "Server", long)]
    resp: bool,

    /// The user: of Redis, or of memcached with -Y [default: Redis's default user]
    #[arg(help_heading = "Server", long, value_name = "NAME")]
    user: Option<String>,

    /// A file whose first line is the password. Without it, LARDER_UPSTREAM_PASSWORD in the environment holds the password
    #[arg(help_heading = "Server", long, value_name = "FILE")]
    password_file: Option<PathBuf>,

    /// A PEM file of the authorities of the server, which has to speak TLS, with a certificate for its host
    #[arg(help_heading = "Server", long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,

    /// A PEM file with the certificate that a server with TLS sees, if it asks for one
    #[arg(
        help_heading = "Server",
        long,
        value_name = "FILE",
        requires = "tls_key",
        requires = "tls_ca"
    )]
    tls_cert: Option<PathBuf>,

    /// The PEM file of this certificate's private key
    #[arg(
        help_heading = "Server",
        long,
        value_name = "FILE",
        requires = "tls_cert"
    )]
    tls_key: Option<PathBuf>,
}

/// The same for the two sides of a copy.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct CopyAccessOptions {
    /// Ask both in RESP, Redis's protocol
    #[arg(help_heading = "Server", long)]
    resp: bool,

    /// Ask FROM in RESP
    #[arg(help_heading = "Server", long)]
    from_resp: bool,

    /// Ask TO in RESP
    #[arg(help_heading = "Server", long)]
    to_resp: bool,

    /// The user of FROM: of Redis, or of memcached with -Y [default: Redis's default user]
    #[arg(help_heading = "Server", long, value_name = "NAME")]
    from_user: Option<String>,

    /// A file whose first line is the password of FROM
    #[arg(help_heading = "Server", long, value_name = "FILE")]
    from_password_file: Option<PathBuf>,

    /// A PEM file of the authorities of FROM, which has to speak TLS
    #[arg(help_heading = "Server", long, value_name = "FILE")]
    from_tls_ca: Option<PathBuf>,

    /// The user of TO, likewise
    #[arg(help_heading = "Server", long, value_name = "NAME")]
    to_user: Option<String>,

    /// A file whose first line is the password of TO
    #[arg(help_heading = "Server", long, value_name = "FILE")]
    to_password_file: Option<PathBuf>,

    /// A PEM file of the authorities of TO, which has to speak TLS
    #[arg(help_heading = "Server", long, value_name = "FILE")]
    to_tls_ca: Option<PathBuf>,

    /// A PEM file with the certificate that servers with TLS see, if they ask for one
    #[arg(
        help_heading = "Server",
        long,
        value_name = "FILE",
        requires = "tls_key"
    )]
    tls_cert: Option<PathBuf>,

    /// The PEM file of this certificate's private key
    #[arg(
        help_heading = "Server",
        long,
        value_name = "FILE",
        requires = "tls_cert"
    )]
    tls_key: Option<PathBuf>,
}

impl CopyAccessOptions {
    /// The access to the servers that are copied. Reads the files.
    pub(crate) fn source(&self) -> Result<Access, String> {
        AccessOptions {
            resp: self.resp || self.from_resp,
            user: self.from_user.clone(),
            password_file: self.from_password_file.clone(),
            tls_ca: self.from_tls_ca.clone(),
            tls_cert: self.tls_cert.clone(),
            tls_key: self.tls_key.clone(),
        }
        .access_of(None)
        .map_err(|problem| format!("FROM: {problem}"))
    }

    /// The access to the servers that get the items. Reads the files.
    pub(crate) fn destination(&self) -> Result<Access, String> {
        AccessOptions {
            resp: self.resp || self.to_resp,
            user: self.to_user.clone(),
            password_file: self.to_password_file.clone(),
            tls_ca: self.to_tls_ca.clone(),
            tls_cert: self.tls_cert.clone(),
            tls_key: self.tls_key.clone(),
        }
        .access_of(None)
        .map_err(|problem| format!("TO: {problem}"))
    }
}

/// The access to servers.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub(crate) protocol: Protocol,
    pub(crate) tls: Option<Arc<ClientTls>>,
    /// A user and its password.
    pub(crate) login: Option<(String, String)>,
}

impl Access {
    /// The settings of a client with this access.
    pub(crate) fn settings(&self) -> Settings {
        let settings = Settings::default()
            .protocol(self.protocol)
            .tls(self.tls.clone());
        match &self.login {
            Some((user, password)) => settings.login(user, password),
            None => settings,
        }
    }
}

impl AccessOptions {
    pub(crate) fn protocol(&self) -> Protocol {
        match self.resp {
            true => Protocol::Resp,
            false => Protocol::Memcached,
        }
    }

    /// Reads the files, or the password from the environment.
    pub(crate) fn access(&self) -> Result<Access, String> {
        self.access_of(Some(UPSTREAM_PASSWORD))
    }

    /// The access in memcached's protocol and in RESP, to servers whose protocols are not known. A password without a user is that of
    /// Redis's default user. Reads the files, or the password from the environment.
    pub(crate) fn access_in_each(&self) -> Result<(Access, Access), String> {
        let password = password(self.password_file.as_deref(), UPSTREAM_PASSWORD)?;
        let identity = self.tls_cert.clone().zip(self.tls_key.clone());
        let tls = tls(self.tls_ca.as_deref(), identity)?;
        let access = |protocol, password| {
            Ok::<_, String>(Access {
                protocol,
                tls: tls.clone(),
                login: login(protocol, self.user.as_deref(), password, &NAMES)?,
            })
        };
        let of_memcached = self.user.as_ref().and(password.clone());
        Ok((
            access(Protocol::Memcached, of_memcached)?,
            access(Protocol::Resp, password)?,
        ))
    }

    fn access_of(&self, variable: Option<&str>) -> Result<Access, String> {
        let protocol = self.protocol();
        let password = match (&self.password_file, variable) {
            (None, None) => None,
            (file, variable) => password(file.as_deref(), variable.unwrap_or_default())?,
        };
        let identity = self.tls_cert.clone().zip(self.tls_key.clone());
        Ok(Access {
            protocol,
            tls: tls(self.tls_ca.as_deref(), identity)?,
            login: login(protocol, self.user.as_deref(), password, &NAMES)?,
        })
    }
}

/// TLS towards servers with certificates of these authorities, `None` if none are given. Reads the files.
pub(super) fn tls(
    ca: Option<&Path>,
    identity: Option<(PathBuf, PathBuf)>,
) -> Result<Option<Arc<ClientTls>>, String> {
    let tls = ca.map(|ca| ClientTls::new(ca, identity));
    let tls = tls.transpose().map_err(|error| error.to_string())?;
    Ok(tls.map(Arc::new))
}

/// The names of the settings of a login, for its errors.
pub(super) struct LoginNames {
    pub(super) user: &'static str,
    pub(super) password_file: &'static str,
    pub(super) variable: &'static str,
}

const NAMES: LoginNames = LoginNames {
    user: "--user",
    password_file: "--password-file",
    variable: UPSTREAM_PASSWORD,
};

/// The user and the password of a login, `None` if there is none.
pub(super) fn login(
    protocol: Protocol,
    user: Option<&str>,
    password: Option<String>,
    names: &LoginNames,
) -> Result<Option<(String, String)>, String> {
    let user = match (user, protocol) {
        (Some(user), _) => user,
        (None, Protocol::Resp) => DEFAULT_USER,
        (None, Protocol::Memcached) if password.is_some() => {
            return Err(format!(
                "memcached's users have names: give {} NAME with the password",
                names.user
            ));
        }
        (None, Protocol::Memcached) => return Ok(None),
    };
    match password {
        Some(password) => Ok(Some((user.to_owned(), password))),
        None if user == DEFAULT_USER => Ok(None),
        None => Err(format!(
            "{} needs a password: {} FILE, or {} in the environment",
            names.user, names.password_file, names.variable
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_needs_a_user_and_a_user_a_password() {
        let some = |user: &str| Some((user.to_owned(), "p".to_owned()));
        let password = || Some("p".to_owned());
        for (protocol, user, password, expected) in [
            (Protocol::Memcached, None, None, None),
            (Protocol::Memcached, Some("app"), password(), some("app")),
            (Protocol::Resp, None, None, None),
            (Protocol::Resp, None, password(), some("default")),
            (Protocol::Resp, Some("app"), password(), some("app")),
        ] {
            assert_eq!(login(protocol, user, password, &NAMES), Ok(expected));
        }
        for (protocol, user, password, part) in [
            (Protocol::Memcached, None, password(), "give --user NAME"),
            (Protocol::Memcached, Some("app"), None, "--password-file"),
            (Protocol::Resp, Some("app"), None, "--password-file"),
        ] {
            let problem = login(protocol, user, password, &NAMES).expect_err(part);
            assert!(problem.contains(part), "{problem}");
        }
    }
}
