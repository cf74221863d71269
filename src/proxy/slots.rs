//! The slots of a Redis Cluster: which of 16,384 a key belongs to, and which server serves each.
//!
//! ```text
//!   key ──tag──▶ CRC16 ──▶ slot 0 … 16383 ──▶ server          learned from CLUSTER SLOTS,
//!                                                              corrected by MOVED
//! ```
//!
//! Cost: a lookup is the CRC of the key and an index; a map takes 32 KiB and the servers' names.

use super::tag::tag;

/// How many slots a cluster has.
pub const SLOTS: u16 = 16384;

/// The slot of a key.
pub fn slot(key: &[u8]) -> u16 {
    crc16(tag(key)) % SLOTS
}

/// CRC-16/XMODEM, which Redis Cluster hashes with.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, byte| {
        let at = (crc >> 8) as u8 ^ byte;
        crc << 8 ^ TABLE[usize::from(at)]
    })
}

/// What each byte does to the sum: the remainders of the polynomial 0x1021.
const TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 {
                crc << 1
            } else {
                crc << 1 ^ 0x1021
            };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

/// An error with which a server of a cluster sends a client to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redirect<'a> {
    /// The slot belongs to that server now.
    Moved(u16, &'a str),
    /// This one request is to be sent there, after `ASKING`; the slot is on its way.
    Ask(u16, &'a str),
}

impl Redirect<'_> {
    /// Reads `-MOVED SLOT HOST:PORT` or `-ASK SLOT HOST:PORT`, with or without its end. An address without a host,
    /// which means the host that was asked, begins with `:`.
    pub fn read(line: &[u8]) -> Option<Redirect<'_>> {
        let line = std::str::from_utf8(line)
            .ok()?
            .trim_end_matches(['\r', '\n']);
        let mut words = line.split(' ');
        let kind = words.next()?;
        let slot = words.next()?.parse().ok().filter(|slot| *slot < SLOTS)?;
        let address = words.next().filter(|address| is_address(address))?;
        match (kind, words.next()) {
            ("-MOVED", None) => Some(Redirect::Moved(slot, address)),
            ("-ASK", None) => Some(Redirect::Ask(slot, address)),
            _ => None,
        }
    }
}

fn is_address(address: &str) -> bool {
    let port = address
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse::<u16>().ok());
    port.is_some_and(|port| port > 0)
}

/// Which server serves each slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotMap {
    servers: Vec<String>,
    /// For each slot the number of its server and one; 0 is nobody.
    slots: Vec<u16>,
}

impl Default for SlotMap {
    fn default() -> SlotMap {
        SlotMap {
            servers: Vec::new(),
            slots: vec![0; usize::from(SLOTS)],
        }
    }
}

impl SlotMap {
    /// The addresses of the servers, in the order of their numbers.
    pub fn servers(&self) -> &[String] {
        &self.servers
    }

    /// The number of the server that serves a slot, if one does.
    pub fn server(&self, slot: u16) -> Option<usize> {
        let number = self.slots.get(usize::from(slot)).copied()?;
        usize::from(number).checked_sub(1)
    }

    /// Gives the slots from `first` to `last`, both included, to a server. Slots that a cluster doesn't have are passed
    /// over.
    pub fn assign(&mut self, first: u16, last: u16, address: &str) {
        let known = self.servers.iter().position(|server| server == address);
        let server = known.unwrap_or_else(|| {
            self.servers.push(address.to_owned());
            self.servers.len() - 1
        });
        let Ok(number) = u16::try_from(server + 1) else {
            return;
        };
        let range = usize::from(first)..=usize::from(last.min(SLOTS - 1));
        if let Some(slots) = self.slots.get_mut(range) {
            slots.fill(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_slots_that_redis_cluster_gives_them() {
        // Asked of redis-server with CLUSTER KEYSLOT.
        for (key, expected) in [
            ("", 0),
            ("foo", 12182),
            ("user42", 14710),
            ("{user42}.name", 14710),
            ("a{}b{c}", 7353),
            ("a{{b}}c", 6215),
            ("123456789", 12739),
            ("a{b", 13340),
        ] {
            assert_eq!(slot(key.as_bytes()), expected, "{key}");
        }
        assert_eq!(crc16(b"123456789"), 0x31c3);
    }

    #[test]
    fn redirections_are_read_and_nothing_else_is() {
        for (line, expected) in [
            (
                "-MOVED 3999 127.0.0.1:6381\r\n",
                Some(Redirect::Moved(3999, "127.0.0.1:6381")),
            ),
            (
                "-ASK 16383 [::1]:6381",
                Some(Redirect::Ask(16383, "[::1]:6381")),
            ),
            ("-MOVED 0 :7000\r\n", Some(Redirect::Moved(0, ":7000"))),
            ("-MOVED 16384 a:1\r\n", None),
            ("-MOVED -1 a:1\r\n", None),
            ("-MOVED 1 a\r\n", None),
            ("-MOVED 1 a:0\r\n", None),
            ("-MOVED 1 a:1 b\r\n", None),
            ("-MOVED 1\r\n", None),
            ("-MOVED\r\n", None),
            ("-ERR MOVED 1 a:1\r\n", None),
            ("+MOVED 1 a:1\r\n", None),
        ] {
            assert_eq!(Redirect::read(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn a_map_knows_the_server_of_each_slot() {
        let mut map = SlotMap::default();
        assert_eq!(map.server(0), None);
        map.assign(0, 8191, "a:1");
        map.assign(8192, 16383, "b:1");
        map.assign(100, 100, "b:1");
        map.assign(16000, 65535, "c:1");
        map.assign(16384, 65535, "d:1");
        map.assign(5, 4, "d:1");
        let found: Vec<_> = [0, 99, 100, 101, 8191, 8192, 15999, 16000, 16383, 16384]
            .map(|slot| map.server(slot))
            .into();
        let (a, b, c) = (Some(0), Some(1), Some(2));
        assert_eq!(found, [a, a, b, a, a, b, b, c, c, None]);
        assert_eq!(map.servers()[..3], ["a:1", "b:1", "c:1"]);
    }
}
