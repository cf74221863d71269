//! Consistent hashing: finds the server of a pool that a key belongs to.
//!
//! Every server has points on a circle of 2³² places, in proportion to its weight, 160 on average; a key belongs to the
//! server of the first point at or after the key's own place, and past the last point to that of the first. When a
//! server joins n others, about 1/(n+1) of the keys move to it, and no key moves between the others.
//!
//! ```text
//!        0 ──●────●──────●─────●───●── 2³²−1, and round to 0
//!            a    b  ▲   a     c   b
//!                    key: belongs to the next point, a
//! ```
//!
//! The exact points are a convention that all clients of a pool must share, or they look for the same key at different
//! servers. [`Placement`] has the three that are in use. They differ in the last bit of a float, in the text that is
//! hashed for a server, and in the hash of the key; the tests compare each with recorded placements of the original in
//! `tests/data/ketama`.
//!
//! Cost: 40 MD5 digests a server when the ring is made; a lookup is one hash of the key and a binary search.

use std::fmt;
use std::str::FromStr;

use crate::pool::hash;
use crate::pool::{PoolServer, ServerList};

/// MD5 digests that a server of average weight has; each gives four points.
const DIGESTS: u16 = 40;

/// The program whose points and hash of keys are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// libketama, the original.
    Ketama,
    /// libmemcached with `MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED`: a server at memcached's own port is hashed without it.
    Libmemcached,
    /// twemproxy with `distribution: ketama` and its default `hash: fnv1a_64`: libmemcached's points.
    Twemproxy,
}

impl FromStr for Placement {
    type Err = String;

    fn from_str(text: &str) -> Result<Placement, String> {
        match text {
            "ketama" => Ok(Placement::Ketama),
            "libmemcached" => Ok(Placement::Libmemcached),
            "twemproxy" => Ok(Placement::Twemproxy),
            _ => Err(format!(
                "`{text}` is none of ketama, libmemcached and twemproxy"
            )),
        }
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Placement::Ketama => "ketama",
            Placement::Libmemcached => "libmemcached",
            Placement::Twemproxy => "twemproxy",
        })
    }
}

impl Placement {
    /// The number of digests of a server with `share`, its part of the sum of weights, among
    /// `servers`.
    ///
    /// The arithmetic is the originals', rounding included: libketama multiplies in double and floors in float,
    /// libmemcached stays in float and adds a hair first.
    fn digests(self, share: f32, servers: usize) -> u32 {
        match self {
            Placement::Ketama => {
                let exact = f64::from(share) * f64::from(DIGESTS) * servers as f64;
                (exact as f32).floor() as u32
            }
            Placement::Libmemcached | Placement::Twemproxy => {
                let points = share * (4 * DIGESTS) as f32 / 4.0 * servers as f32;
                (points + 1e-10).floor() as u32
            }
        }
    }

    /// The text that is hashed for a server's points.
    fn name(self, server: &PoolServer) -> &str {
        match self {
            Placement::Ketama => &server.address,
            Placement::Libmemcached | Placement::Twemproxy if server.port() == "11211" => {
                server.host()
            }
            Placement::Libmemcached | Placement::Twemproxy => &server.address,
        }
    }

    fn key(self, key: &[u8]) -> u32 {
        match self {
            Placement::Ketama | Placement::Libmemcached => hash::md5_key(key),
            Placement::Twemproxy => hash::fnv1a_64_key(key),
        }
    }
}

/// The placement of keys on the servers of a pool.
///
/// ```
/// use larder::{Placement, Ring, ServerList};
///
/// let list: ServerList = "10.0.0.1:11211 1\n10.0.0.2:11211 3 # twice the memory\n".parse()?;
/// let ring = Ring::new(&list, Placement::Ketama);
/// let server = &list.servers()[ring.server(b"user:42")];
/// assert_eq!(server.address, "10.0.0.1:11211");
/// # Ok::<(), larder::ListError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Ring {
    placement: Placement,
    /// Each point with the number of its server, in the order of the points.
    points: Vec<(u32, u32)>,
}

impl Ring {
    /// The ring of a list of servers.
    pub fn new(list: &ServerList, placement: Placement) -> Ring {
        let servers = list.servers();
        let total: u32 = servers.iter().map(|server| server.weight).sum();
        let mut points = Vec::new();
        for (number, server) in (0..).zip(servers) {
            let share = server.weight as f32 / total as f32;
            for digest in 0..placement.digests(share, servers.len()) {
                let text = format!("{}-{digest}", placement.name(server));
                points.extend(hash::md5_points(text.as_bytes()).map(|point| (point, number)));
            }
        }
        points.sort_unstable();
        Ring { placement, points }
    }

    /// The number of the server that a key belongs to, counted from 0 in the list's order.
    ///
    /// A server whose weight is so small that it has no points gets no keys; the server of the greatest weight always
    /// has some.
    pub fn server(&self, key: &[u8]) -> usize {
        self.successors(key).next().unwrap_or(0)
    }

    /// The servers in the order in which they would take over the key: its own, then that of the next point, and so on
    /// round the ring. A server is listed once for each of its points.
    pub fn successors(&self, key: &[u8]) -> impl Iterator<Item = usize> + '_ {
        let place = self.placement.key(key);
        let first = self.points.partition_point(|(point, _)| *point < place);
        let (before, after) = self.points.split_at(first);
        after
            .iter()
            .chain(before)
            .map(|(_, number)| *number as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTS: [(&str, &str); 3] = [
        ("mixed8", include_str!("../../tests/data/ketama/mixed8.txt")),
        ("equal5", include_str!("../../tests/data/ketama/equal5.txt")),
        ("edge10", include_str!("../../tests/data/ketama/edge10.txt")),
    ];

    fn list(name: &str) -> ServerList {
        let (_, text) = LISTS.iter().find(|(id, _)| *id == name).unwrap();
        text.parse().unwrap()
    }

    /// Compares every row of a recorded table with the ring; `column` has the server.
    fn agree(table: &str, column: usize, placement: Placement, rows: usize) {
        let rings = LISTS.map(|(id, text)| {
            let list: ServerList = text.parse().unwrap();
            (id, Ring::new(&list, placement), list)
        });
        let mut compared = 0;
        for line in table.lines().skip(1) {
            let cells: Vec<&str> = line.split('\t').collect();
            let (_, ring, list) = rings.iter().find(|(id, ..)| *id == cells[0]).unwrap();
            let server = &list.servers()[ring.server(cells[1].as_bytes())].address;
            assert_eq!(server, cells[column], "{line}");
            compared += 1;
        }
        assert_eq!(compared, rows);
    }

    const COMPATIBLE: &str = include_str!("../../tests/data/ketama/compatible.tsv");

    #[test]
    fn keys_map_to_the_servers_of_libketama() {
        let table = include_str!("../../tests/data/ketama/libketama.tsv");
        agree(table, 2, Placement::Ketama, 6000);
        agree(COMPATIBLE, 2, Placement::Ketama, 1552);
    }

    #[test]
    fn keys_map_to_the_servers_of_libmemcached() {
        agree(COMPATIBLE, 3, Placement::Libmemcached, 1552);
    }

    #[test]
    fn keys_map_to_the_servers_of_twemproxy() {
        agree(COMPATIBLE, 5, Placement::Twemproxy, 1552);
    }

    #[test]
    fn a_server_that_joins_takes_its_share_and_moves_nothing_else() {
        let text = include_str!("../../tests/data/ketama/equal5.txt");
        let five: ServerList = text.parse().unwrap();
        let six: ServerList = format!("{text}127.0.2.6:21216\t100\n").parse().unwrap();
        for placement in [
            Placement::Ketama,
            Placement::Libmemcached,
            Placement::Twemproxy,
        ] {
            let (before, after) = (Ring::new(&five, placement), Ring::new(&six, placement));
            let mut moved = 0;
            for key in 0..10_000 {
                let key = format!("key{key}");
                let (old, new) = (before.server(key.as_bytes()), after.server(key.as_bytes()));
                if old != new {
                    assert_eq!(new, 5, "{key} moved between servers that were there before");
                    moved += 1;
                }
            }
            // A sixth, 1,667, give or take the scatter of 160 points.
            assert!(
                (1250..2100).contains(&moved),
                "{moved} of 10,000 keys moved"
            );
        }
    }

    #[test]
    fn every_server_is_among_the_successors() {
        let ring = Ring::new(&list("equal5"), Placement::Ketama);
        let mut seen: Vec<usize> = ring.successors(b"key").collect();
        assert_eq!(seen[0], ring.server(b"key"));
        assert_eq!(seen.len(), 5 * 160);
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, [0, 1, 2, 3, 4]);
    }
}
