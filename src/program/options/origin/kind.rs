//! The origin that the settings name, its login and its TLS.

use std::sync::Arc;

use super::{NamedOrigin, OriginOptions, ServerAddress};
use crate::client::{Protocol, Settings};
use crate::origin::{
    CommandOrigin, HttpOrigin, MemcachedOrigin, Origin, RedisOrigin, SqliteOrigin, client_settings,
};
use crate::program::options::access::{LoginNames, login, tls};
use crate::program::password::{ORIGIN_PASSWORD, password_of};
use crate::server::ClientTls;

const NAMES: LoginNames = LoginNames {
    user: "--origin-user",
    password_file: "--origin-password-file",
    variable: ORIGIN_PASSWORD,
};

impl OriginOptions {
    /// The kinds of origin that were given, by their names in the table.
    pub(super) fn given_kinds(&self) -> Vec<&'static str> {
        let kinds = [
            ("command", self.command.is_some()),
            ("http", self.http.is_some()),
            ("memcached", self.memcached.is_some()),
            ("redis", self.redis.is_some()),
            ("sqlite", self.sqlite.is_some()),
        ];
        let given = kinds.into_iter().filter(|(_, is_given)| *is_given);
        given.map(|(name, _)| name).collect()
    }

    /// The origin, if there is one. Reads the files of its password and its TLS. The error is a sentence for a person.
    pub(crate) fn origin(&self) -> Result<Option<NamedOrigin>, String> {
        if self.settings().timeout.is_zero() {
            return Err("--origin-timeout 0 leaves no time for a fetch; give at least 1ms".into());
        }
        let given = self.given_kinds();
        if given.len() > 1 {
            return Err(format!(
                "larder has one origin at a time, and there are {}; give one of --origin-command, --origin-http, \
                 --origin-memcached, --origin-redis and --origin-sqlite, or one of these lines in [origin]",
                given.join(" and ")
            ));
        }
        self.check_kind(given.first().copied())?;
        let tls = self.tls()?;
        let origin = match given.first().copied() {
            Some("command") => self.command()?,
            Some("http") => self.http(tls.clone())?,
            Some("memcached" | "redis") => self.cache(tls.clone())?,
            Some(_) => self.sqlite()?,
            None => return Ok(None),
        };
        Ok(Some(NamedOrigin { origin, tls }))
    }

    /// An error if a setting was given that the origin of this kind doesn't have.
    fn check_kind(&self, kind: Option<&str>) -> Result<(), String> {
        let caches = &["memcached", "redis"][..];
        let servers = &["http", "memcached", "redis"][..];
        let settings = [
            ("query", self.query.is_some(), &["sqlite"][..]),
            ("user", self.user.is_some(), caches),
            ("password-file", self.password_file.is_some(), caches),
            ("database", self.database.is_some_and(|n| n > 0), &["redis"]),
            ("tls-ca", self.tls_ca.is_some(), servers),
            ("tls-cert", self.tls_cert.is_some(), servers),
            ("tls-key", self.tls_key.is_some(), servers),
        ];
        let misplaced = settings
            .iter()
            .find(|(_, given, kinds)| *given && !kind.is_some_and(|kind| kinds.contains(&kind)));
        match misplaced {
            None => Ok(()),
            Some((setting, _, kinds)) => Err(format!(
                "--origin-{setting} is a setting of --origin-{}; give it or remove the setting",
                kinds.join(" and --origin-")
            )),
        }
    }

    fn tls(&self) -> Result<Option<Arc<ClientTls>>, String> {
        let identity = match (self.tls_cert.clone(), self.tls_key.clone()) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => {
                return Err(
                    "--origin-tls-cert FILE and --origin-tls-key FILE belong together".into(),
                );
            }
        };
        if identity.is_some() && self.tls_ca.is_none() {
            return Err(
                "--origin-tls-cert needs the authorities of the server: --origin-tls-ca FILE"
                    .into(),
            );
        }
        tls(self.tls_ca.as_deref(), identity)
    }

    fn command(&self) -> Result<Arc<dyn Origin>, String> {
        let words = self.command.as_deref().unwrap_or_default();
        let mut words = words.split_whitespace().map(str::to_owned);
        let program = words
            .next()
            .ok_or("--origin-command has no word; the first is the program")?;
        Ok(Arc::new(CommandOrigin::new(program, words.collect())))
    }

    fn http(&self, tls: Option<Arc<ClientTls>>) -> Result<Arc<dyn Origin>, String> {
        let url = self.http.as_deref().unwrap_or_default();
        if url.starts_with("https://") && tls.is_none() {
            return Err(format!(
                "--origin-http: `{url}` needs the authorities of the server's certificate: --origin-tls-ca FILE"
            ));
        }
        let origin = match tls {
            Some(tls) => HttpOrigin::with_tls(url, tls),
            None => HttpOrigin::new(url),
        };
        match origin {
            Ok(origin) => Ok(Arc::new(origin)),
            Err(error) => Err(format!("--origin-http: {error}")),
        }
    }

    /// A memcached or a Redis.
    fn cache(&self, tls: Option<Arc<ClientTls>>) -> Result<Arc<dyn Origin>, String> {
        let (address, protocol) = match (&self.memcached, &self.redis) {
            (Some(ServerAddress(address)), _) => (address, Protocol::Memcached),
            (None, Some(ServerAddress(address))) => (address, Protocol::Resp),
            (None, None) => return Err("there is no address".into()),
        };
        if tls.is_some() && address.contains('/') {
            return Err(format!(
                "--origin-tls-ca: {address} is a Unix socket, on which there is no TLS"
            ));
        }
        let password = password_of(
            NAMES.password_file,
            self.password_file.as_deref(),
            NAMES.variable,
        )?;
        let database = self.database.unwrap_or_default();
        let settings = client_settings().tls(tls).database(database);
        let settings: Settings = match login(protocol, self.user.as_deref(), password, &NAMES)? {
            Some((user, password)) => settings.login(user, password),
            None => settings,
        };
        Ok(match protocol {
            Protocol::Memcached => Arc::new(MemcachedOrigin::with_settings(address, settings)),
            Protocol::Resp => Arc::new(RedisOrigin::with_settings(address, settings)),
        })
    }

    fn sqlite(&self) -> Result<Arc<dyn Origin>, String> {
        match (&self.sqlite, &self.query) {
            (Some(file), Some(query)) => Ok(Arc::new(SqliteOrigin::new(file, query))),
            _ => Err(
                "--origin-sqlite needs a query: --origin-query 'SELECT body FROM pages WHERE path = ?'"
                    .into(),
            ),
        }
    }
}
