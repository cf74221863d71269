//! The settings of peers: the command line, and the table `[peers]` of larder.toml.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;

use crate::peers::PeerSettings;
use crate::program::values::{PrintedSetting, Span, parsed};

/// The default of --peer-copy-ttl.
const COPY_TTL: Duration = Duration::from_secs(1);

/// The least, so that the command that asked for a copy finds it.
const LEAST_COPY_TTL: Duration = Duration::from_millis(100);

/// The default of --peer-timeout.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The options that were given on the command line or in the `[peers]` table.
#[derive(Debug, Clone, Default, PartialEq, Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct PeersOptions {
    /// Form one cache with the larders in this file: a host:port and a weight a line, this node included. HUP reads it again
    /// [default: none]
    #[arg(id = "peers", long = "peers", value_name = "FILE")]
    servers: Option<PathBuf>,

    /// This node, as the file of --peers names it [default: none]
    #[arg(id = "peer-self", long = "peer-self", value_name = "ADDR")]
    #[serde(rename = "self")]
    own: Option<String>,

    /// The time for which a peer's item is kept here after a read; at least 100ms [default: 1s]
    #[arg(id = "peer-copy-ttl", long = "peer-copy-ttl", value_name = "SPAN")]
    #[serde(deserialize_with = "parsed")]
    copy_ttl: Option<Span>,

    /// The time in which a peer has to answer; more than --origin-timeout [default: 2s]
    #[arg(id = "peer-timeout", long = "peer-timeout", value_name = "SPAN")]
    #[serde(deserialize_with = "parsed")]
    timeout: Option<Span>,
}

impl PeersOptions {
    /// These options if they were given, otherwise `file`'s.
    pub(crate) fn or(self, file: PeersOptions) -> PeersOptions {
        PeersOptions {
            servers: self.servers.or(file.servers),
            own: self.own.or(file.own),
            copy_ttl: self.copy_ttl.or(file.copy_ttl),
            timeout: self.timeout.or(file.timeout),
        }
    }

    fn copy_ttl(&self) -> Duration {
        self.copy_ttl.map_or(COPY_TTL, |span| span.0)
    }

    fn timeout(&self) -> Duration {
        self.timeout.map_or(TIMEOUT, |span| span.0)
    }

    /// The settings, if there are peers; `origin_timeout` is that of the origin, if there is one. The error is a sentence for a
    /// person.
    pub(crate) fn settings(
        &self,
        origin_timeout: Option<Duration>,
    ) -> Result<Option<PeerSettings>, String> {
        let Some(list) = &self.servers else {
            return match self.own {
                Some(_) => Err("--peer-self needs --peers FILE, which lists all nodes".into()),
                None => Ok(None),
            };
        };
        let Some(own) = &self.own else {
            return Err("--peers needs --peer-self ADDR, the line of this node in the file".into());
        };
        if self.copy_ttl() < LEAST_COPY_TTL {
            return Err("--peer-copy-ttl is too short; give at least 100ms".into());
        }
        let least = origin_timeout.unwrap_or_default();
        if self.timeout() <= least {
            return Err(format!(
                "--peer-timeout has to be more than {}, so that a peer can wait for its origin; give a longer one",
                Span(least)
            ));
        }
        Ok(Some(PeerSettings {
            list: list.clone(),
            own: own.clone(),
            copy_ttl: self.copy_ttl(),
            timeout: self.timeout(),
        }))
    }

    /// The settings as `larder config` prints them.
    pub(crate) fn printed(&self) -> Vec<PrintedSetting> {
        // Field by field, so that a new setting can't be forgotten here.
        let PeersOptions {
            servers,
            own,
            copy_ttl: _,
            timeout: _,
        } = self;
        vec![
            PrintedSetting::path("peers", servers.as_ref(), "peers.txt"),
            PrintedSetting::name("peer-self", own.as_ref(), "10.0.0.1:11211"),
            PrintedSetting::new("peer-copy-ttl", Span(self.copy_ttl())),
            PrintedSetting::new("peer-timeout", Span(self.timeout())),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_do_not_fit_are_refused() {
        let span = |ms| Some(Span(Duration::from_millis(ms)));
        let given = || PeersOptions {
            servers: Some("peers.txt".into()),
            own: Some("a:1".into()),
            ..PeersOptions::default()
        };
        let settings = |options: PeersOptions| options.settings(Some(Duration::from_secs(1)));
        assert!(settings(given()).unwrap().is_some());
        assert_eq!(settings(PeersOptions::default()), Ok(None));
        for (options, what) in [
            (
                PeersOptions {
                    own: None,
                    ..given()
                },
                "--peer-self",
            ),
            (
                PeersOptions {
                    servers: None,
                    ..given()
                },
                "--peers FILE",
            ),
            (
                PeersOptions {
                    copy_ttl: span(99),
                    ..given()
                },
                "100ms",
            ),
            (
                PeersOptions {
                    timeout: span(1000),
                    ..given()
                },
                "1s",
            ),
            (
                PeersOptions {
                    timeout: span(0),
                    ..given()
                },
                "1s",
            ),
        ] {
            let problem = settings(options).unwrap_err();
            assert!(problem.contains(what), "{problem}");
        }
    }
}
