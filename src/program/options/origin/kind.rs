//! The origin that the settings name.

use std::sync::Arc;

use super::{OriginOptions, ServerAddress};
use crate::origin::{
    CommandOrigin, HttpOrigin, MemcachedOrigin, Origin, RedisOrigin, SqliteOrigin,
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

    /// The origin, if there is one. The error is a sentence for a person.
    pub(crate) fn origin(&self) -> Result<Option<Arc<dyn Origin>>, String> {
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
        if let Some(url) = &self.http {
            let origin = HttpOrigin::new(url).map_err(|error| format!("--origin-http: {error}"))?;
            return Ok(Some(Arc::new(origin)));
        }
        if let Some(ServerAddress(address)) = &self.memcached {
            return Ok(Some(Arc::new(MemcachedOrigin::new(address))));
        }
        if let Some(ServerAddress(address)) = &self.redis {
            return Ok(Some(Arc::new(RedisOrigin::new(address))));
        }
        match (&self.sqlite, &self.query) {
            (Some(file), Some(query)) => {
                return Ok(Some(Arc::new(SqliteOrigin::new(file, query))));
            }
            (Some(_), None) => {
                return Err(
                    "--origin-sqlite needs a query: --origin-query 'SELECT body FROM pages WHERE path = ?'"
                        .into(),
                );
            }
            (None, Some(_)) => {
                return Err("--origin-query needs a database: --origin-sqlite FILE".into());
            }
            (None, None) => {}
        }
        let Some(command) = &self.command else {
            return Ok(None);
        };
        let mut words = command.split_whitespace().map(str::to_owned);
        let program = words
            .next()
            .ok_or("--origin-command has no word; the first is the program")?;
        let origin = CommandOrigin::new(program, words.collect());
        Ok(Some(Arc::new(origin)))
    }
}
