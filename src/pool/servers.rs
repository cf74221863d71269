//! The file that lists a pool's servers, in libketama's format: `host:port weight` a line, blank lines and `#` comments
//! allowed.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use crate::pool::hash;

/// One server of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolServer {
    /// Its host and port, as written in the list. The ring hashes this text, so `localhost` and `127.0.0.1`
    /// differ.
    pub address: String,
    /// Its share of the keys is its weight over the sum of all weights.
    pub weight: u32,
}

impl PoolServer {
    /// The part before the port.
    pub fn host(&self) -> &str {
        self.address
            .rsplit_once(':')
            .map_or(&self.address, |(host, _)| host)
    }

    /// The port, as it is written.
    pub fn port(&self) -> &str {
        self.address.rsplit_once(':').map_or("", |(_, port)| port)
    }
}

/// The servers of a pool, in the file's order; at least one.
///
/// ```
/// let list: larder::ServerList = "# host:port weight\ncache-1:11211 1\ncache-2:11211 2\n".parse()?;
/// assert_eq!(list.servers()[1].host(), "cache-2");
/// # Ok::<(), larder::ListError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerList(Vec<PoolServer>);

impl ServerList {
    /// A list without servers, for a proxy that doesn't forward.
    pub(crate) fn none() -> ServerList {
        ServerList(Vec::new())
    }

    /// A number that lists with the same servers and weights share, in whatever order.
    pub(crate) fn fingerprint(&self) -> u32 {
        let lines = self.0.iter();
        let mut lines: Vec<_> = lines
            .map(|it| format!("{} {}\n", it.address, it.weight))
            .collect();
        lines.sort_unstable();
        hash::md5_key(lines.concat().as_bytes())
    }

    /// The servers.
    pub fn servers(&self) -> &[PoolServer] {
        &self.0
    }
}

/// An error in a list, with its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListError {
    /// The line, counted from 1; 0 when it is the list as a whole.
    pub line: usize,
    /// The mistake, and its correction.
    pub what: String,
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.what),
            line => write!(f, "line {line}: {}", self.what),
        }
    }
}

impl std::error::Error for ListError {}

impl FromStr for ServerList {
    type Err = ListError;

    fn from_str(text: &str) -> Result<ServerList, ListError> {
        // Editors on Windows write one in front of UTF-8.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut servers = Vec::new();
        let mut seen = HashSet::new();
        let mut total: u32 = 0;
        for (number, line) in text.lines().enumerate() {
            let error = |what: String| ListError {
                line: number + 1,
                what,
            };
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let (address, weight) = server(line).map_err(error)?;
            total = total
                .checked_add(weight)
                .ok_or_else(|| error(format!("the weights add up to more than {}", u32::MAX)))?;
            if !seen.insert(address) {
                return Err(error(format!("{address} is listed twice")));
            }
            servers.push(PoolServer {
                address: address.to_owned(),
                weight,
            });
        }
        match servers.is_empty() {
            true => Err(ListError {
                line: 0,
                what: "the list has no server".into(),
            }),
            false => Ok(ServerList(servers)),
        }
    }
}

/// Reads `host:port weight`; the error names the correction.
fn server(line: &str) -> Result<(&str, u32), String> {
    let mut words = line.split_ascii_whitespace();
    let (Some(address), Some(weight), None) = (words.next(), words.next(), words.next()) else {
        return Err(format!("`{line}` is not `host:port weight`"));
    };
    let port = address
        .rsplit_once(':')
        .filter(|(host, _)| !host.is_empty())
        .and_then(|(_, port)| port.parse::<u16>().ok());
    if port.is_none_or(|port| port == 0) {
        return Err(format!(
            "`{address}` is not host:port with a port from 1 to 65535"
        ));
    }
    match weight.parse() {
        Ok(weight @ 1..) => Ok((address, weight)),
        _ => Err(format!(
            "the weight `{weight}` is not a whole number from 1 to {}",
            u32::MAX
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_blank_lines_and_any_white_space_are_allowed() {
        let list: ServerList = "# pool\n\n10.0.1.1:11211\t600\r\n [::1]:7  1 # last\n"
            .parse()
            .unwrap();
        let found: Vec<_> = list
            .servers()
            .iter()
            .map(|s| (s.host(), s.port(), s.weight))
            .collect();
        assert_eq!(found, [("10.0.1.1", "11211", 600), ("[::1]", "7", 1)]);
    }

    #[test]
    fn a_byte_order_mark_is_not_part_of_the_first_hosts_name() {
        let plain: ServerList = "a:1 1\nb:1 1\n".parse().unwrap();
        let marked: ServerList = "\u{feff}a:1 1\r\nb:1 1\r\n".parse().unwrap();
        assert_eq!(marked, plain);
    }

    #[test]
    fn lists_with_the_same_servers_have_one_fingerprint() {
        let fingerprint = |text: &str| text.parse::<ServerList>().unwrap().fingerprint();
        let list = fingerprint("a:1 1\nb:1 2\n");
        assert_eq!(fingerprint("# other\nb:1 2\na:1  1\n"), list);
        for other in ["a:1 1\n", "a:1 2\nb:1 1\n", "a:1 1\nc:1 2\n"] {
            assert_ne!(fingerprint(other), list, "{other}");
        }
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        for (text, line) in [
            ("", 0),
            ("# nothing\n", 0),
            ("a:1 1\nb:2\n", 2),
            ("a:1 1 1", 1),
            ("a 1", 1),
            (":1 1", 1),
            ("a:0 1", 1),
            ("a:65536 1", 1),
            ("a:1 0", 1),
            ("a:1 -1", 1),
            ("a:1 4294967295\nb:1 1", 2),
            ("a:1 1\na:1 2", 2),
        ] {
            assert_eq!(
                text.parse::<ServerList>().unwrap_err().line,
                line,
                "{text:?}"
            );
        }
    }
}
