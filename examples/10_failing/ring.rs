//! The placement of keys on servers: ketama, as in libketama.

use md5::{Digest, Md5};

use super::servers::Server;

/// MD5 digests of a server with an average weight. Each gives four points.
const DIGESTS: f64 = 40.0;

/// The four numbers of 32 bits that an MD5 digest is made of, the lowest byte first.
fn hash(text: &[u8]) -> [u32; 4] {
    let digest: [u8; 16] = Md5::digest(text).into();
    std::array::from_fn(|word| {
        let bytes = &digest[4 * word..4 * word + 4];
        bytes
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | u32::from(*byte))
    })
}

/// The points of all servers on a circle of 2^32 positions.
pub(crate) struct Ring {
    /// Each point and the number of its server, in the order of the points.
    points: Vec<(u32, usize)>,
}

impl Ring {
    pub(crate) fn new(servers: &[Server]) -> Ring {
        let total: u32 = servers.iter().map(|server| server.weight).sum();
        let mut points = Vec::new();
        for (number, server) in servers.iter().enumerate() {
            for digest in 0..digests(server.weight, total, servers.len()) {
                let text = format!("{}-{digest}", server.name);
                points.extend(hash(text.as_bytes()).map(|point| (point, number)));
            }
        }
        points.sort_unstable();
        Ring { points }
    }

    /// The servers in the order in which they would take over a key, its own first. Each
    /// appears as often as it has points.
    pub(crate) fn successors(&self, key: &[u8]) -> impl Iterator<Item = usize> + '_ {
        let position = hash(key)[0];
        let next = self.points.partition_point(|(point, _)| *point < position);
        let (before, after) = self.points.split_at(next);
        after.iter().chain(before).map(|(_, server)| *server)
    }
}

/// The digests of one server. The share is rounded to single precision, multiplied in
/// double precision, and the product is rounded to single precision again before it is cut
/// off: libketama's C does so, and a server may have four points more or fewer for it.
fn digests(weight: u32, total: u32, servers: usize) -> u32 {
    let share = weight as f32 / total as f32;
    let exact = f64::from(share) * DIGESTS * servers as f64;
    (exact as f32).floor() as u32
}
