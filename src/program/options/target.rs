//! A `[[target]]` table of larder.toml.

use std::path::PathBuf;
use std::sync::Arc;

use regex::bytes::Regex;
use serde::Deserialize;

use crate::invalidate::{ForgetMethod, Target, TargetKind, TargetMode, TargetProtocol};
use crate::pool::{ListError, ServerList};

use super::pool::{PlacementName, read_list};
use crate::program::password::{UPSTREAM_PASSWORD, password};
use crate::program::values::{Span, Switch, parsed};
use crate::server::ClientTls;

/// The keys of a table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct TargetOptions {
    name: String,
    /// A file, or the servers themselves.
    servers: ServerSource,
    #[serde(default, deserialize_with = "parsed")]
    kind: Option<TargetKind>,
    #[serde(default, deserialize_with = "parsed")]
    protocol: Option<TargetProtocol>,
    #[serde(default, deserialize_with = "parsed")]
    mode: Option<TargetMode>,
    #[serde(default, deserialize_with = "parsed")]
    hash: Option<PlacementName>,
    #[serde(default)]
    prefix: String,
    #[serde(default, deserialize_with = "parsed")]
    pattern: Option<Regex>,
    #[serde(default)]
    key: Option<String>,
    #[serde(default, deserialize_with = "parsed")]
    forget: Option<ForgetMethod>,
    #[serde(default)]
    stale_seconds: Option<u32>,
    #[serde(default, deserialize_with = "parsed")]
    again: Option<Span>,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    password_file: Option<PathBuf>,
    #[serde(default)]
    database: u32,
    /// Off for servers without TLS, beside others that have it.
    #[serde(default, deserialize_with = "parsed")]
    tls: Option<Switch>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a file like \"servers.txt\", or a list like [\"127.0.0.1:11211\"]"
)]
enum ServerSource {
    File(PathBuf),
    List(Vec<String>),
}

impl TargetOptions {
    /// The target; reads its list of servers.
    pub(super) fn target(&self, tls: Option<&Arc<ClientTls>>) -> Result<Target, String> {
        let list = match &self.servers {
            ServerSource::File(file) => read_list(file)?,
            ServerSource::List(servers) => self.list(servers)?,
        };
        let mut target = Target::new(&self.name, list);
        target.kind = self.kind.unwrap_or(target.kind);
        target.binary = self.protocol == Some(TargetProtocol::Binary);
        target.mode = self.mode.unwrap_or(target.mode);
        target.forget = self.forget.unwrap_or(target.forget);
        target.placement = self.hash.map_or(target.placement, |hash| hash.0);
        target.stale_seconds = self.stale_seconds.unwrap_or(target.stale_seconds);
        target.template = self.key.clone().unwrap_or(target.template);
        target.prefix = self.prefix.clone().into_bytes();
        target.pattern = self.pattern.clone();
        target.again = self.again.and_then(Span::off_if_zero);
        target.database = self.database;
        target.tls = match (self.tls, tls) {
            (Some(Switch(false)), _) => None,
            (Some(Switch(true)), None) => {
                return Err(format!(
                    "target {}: tls needs the authorities of the servers: ca in the table [upstream-tls]",
                    self.name
                ));
            }
            (_, tls) => tls.cloned(),
        };
        let asked = self.password_file.is_some() || self.user.is_some();
        if asked || target.kind == TargetKind::Redis {
            target.password = password(self.password_file.as_deref(), UPSTREAM_PASSWORD)
                .map_err(|problem| format!("target {}: {problem}", self.name))?;
        }
        target.user = self.user.clone();
        target.check()?;
        Ok(target)
    }

    /// A server's weight may be left out.
    fn list(&self, servers: &[String]) -> Result<ServerList, String> {
        let lines: String = servers
            .iter()
            .map(|server| match server.trim().contains(' ') {
                true => format!("{server}\n"),
                false => format!("{server} 1\n"),
            })
            .collect();
        lines
            .parse()
            .map_err(|error: ListError| format!("target {}: servers: {}", self.name, error.what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::file::File;

    fn target(text: &str) -> Result<Target, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        file.target[0].target(None)
    }

    #[test]
    fn a_table_gives_servers_keys_and_method() {
        let target = target(
            "[[target]]\nname = \"redis\"\nkind = \"redis\"\nservers = [\"a:1\", \"b:2 3\"]\nmode = \"replicas\"\n\
             prefix = \"user:\"\npattern = \"^user:[0-9]+$\"\nkey = \"app:{key}\"\nforget = \"update\"\nagain = \"500ms\"\n\
             database = 2\n",
        )
        .unwrap();
        assert_eq!(
            (target.kind, target.mode),
            (TargetKind::Redis, TargetMode::Replicas)
        );
        assert_eq!(target.servers.servers()[1].weight, 3);
        assert_eq!(target.template, "app:{key}");
        assert_eq!(target.again, Some(std::time::Duration::from_millis(500)));
        assert_eq!((target.forget, target.database), (ForgetMethod::Update, 2));
    }

    #[test]
    fn a_mistake_in_a_table_names_the_allowed_values() {
        let table = "[[target]]\nname = \"t\"\nservers = [\"a:1\"]\n";
        for (line, allowed) in [
            ("kind = \"mysql\"", "redis"),
            ("mode = \"some\"", "replicas"),
            ("forget = \"maybe\"", "stale"),
            ("again = \"soon\"", "500ms"),
            ("key = \"app\"", "{key}"),
            ("pattern = \"(\"", "unclosed"),
            ("kind = \"redis\"\nforget = \"stale\"", "update"),
            ("protocol = \"udp\"", "binary"),
            ("protocol = \"binary\"\nkind = \"redis\"", "remove it"),
            ("protocol = \"binary\"\nforget = \"stale\"", "update"),
            ("tls = true", "[upstream-tls]"),
            ("server = \"x\"", "servers"),
        ] {
            let error = target(&format!("{table}{line}\n")).unwrap_err();
            assert!(error.contains(allowed), "{line}: {error}");
        }
        let error = target("[[target]]\nname = \"t\"\nservers = 7\n").unwrap_err();
        assert!(error.contains("servers.txt"), "{error}");
    }
}
