//! The slots of a Redis Cluster: the one of 16,384 that a key belongs to, and the server of each.
//!
//! ```text
//!   key ──tag──▶ CRC16 ──▶ slot 0 … 16383 ──▶ server          learned from CLUSTER SLOTS,
//!                                                              corrected by MOVED
//! ```
//!
//! Cost: a lookup is the CRC of the key and an index; a map takes 32 KiB and the servers' names.

use crate::pool::tag;
use crate::protocol::framing::reply::{FrameState, ReplyFramer, ReplyShape};

/// The number of slots of a cluster.
pub const SLOTS: u16 = 16384;

/// The slot of a key in a Redis Cluster: of its tag, the text between braces, if it has one.
///
/// ```
/// assert_eq!(larder::slot(b"{user:42}.name"), larder::slot(b"user:42"));
/// ```
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

/// The CRC16 step of each byte: remainders of the polynomial 0x1021.
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
pub(crate) enum Redirect<'a> {
    /// The slot now belongs to that server.
    Moved(u16, &'a str),
    /// This one request is to be sent there, after `ASKING`; the slot is moving.
    Ask(u16, &'a str),
}

impl Redirect<'_> {
    /// The longest line that is read as one, in bytes: a name has at most 255.
    pub(crate) const LONGEST: usize = 512;

    /// Whether a line with this beginning may be one; the line need not be complete.
    pub(crate) fn may_be(start: &[u8]) -> bool {
        let begins = |word: &[u8]| start.starts_with(&word[..word.len().min(start.len())]);
        start.len() <= Redirect::LONGEST && (begins(b"-MOVED ") || begins(b"-ASK "))
    }

    /// The slot that it is about.
    pub(crate) fn slot(self) -> u16 {
        let (Redirect::Moved(slot, _) | Redirect::Ask(slot, _)) = self;
        slot
    }

    /// The address that it redirects to; `asked` is the server that sent it.
    pub(crate) fn target(self, asked: &str) -> String {
        let (Redirect::Moved(_, address) | Redirect::Ask(_, address)) = self;
        let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
        join(
            if host.is_empty() {
                host_of(asked)
            } else {
                host
            },
            port,
        )
    }

    /// Reads `-MOVED SLOT HOST:PORT` or `-ASK SLOT HOST:PORT`, with or without its end. An address without a host,
    /// which means the host that answered, begins with `:`.
    pub(crate) fn read(line: &[u8]) -> Option<Redirect<'_>> {
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

/// The host of an address as a configuration or a map has it.
pub(crate) fn host_of(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}

/// An address. Redis writes those of version 6 without brackets.
fn join(host: &str, port: impl std::fmt::Display) -> String {
    match host.contains(':') && !host.starts_with('[') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

fn is_address(address: &str) -> bool {
    let port = address
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse::<u16>().ok());
    port.is_some_and(|port| port > 0)
}

/// The server of each slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SlotMap {
    servers: Vec<String>,
    /// For each slot the index of its server plus one; 0 is an unserved slot.
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
    /// Reads the whole reply to `CLUSTER SLOTS`: ranges of slots, each with its servers, of which the first is the
    /// master. A server with a null or empty host is at `asked`, the host that answered. `None` if it is another
    /// reply.
    pub(crate) fn read(reply: &[u8], asked: &str) -> Option<SlotMap> {
        let mut map = SlotMap::default();
        let mut rest = Cursor(reply);
        for _ in 0..rest.number(b'*')? {
            let fields = rest.number(b'*')?;
            let first = u16::try_from(rest.number(b':')?).ok()?;
            let last = u16::try_from(rest.number(b':')?).ok()?;
            let described = rest.number(b'*')?;
            let host = rest
                .string()?
                .filter(|host| !host.is_empty())
                .unwrap_or(asked);
            let port = u16::try_from(rest.number(b':')?).ok()?;
            let others = described
                .checked_sub(2)?
                .checked_add(fields.checked_sub(3)?)?;
            (0..others).try_for_each(|_| rest.skip())?;
            if first > last || last >= SLOTS {
                return None;
            }
            map.assign(first, last, &join(host, port));
        }
        rest.0.is_empty().then_some(map)
    }

    /// The addresses of the servers, in the order of their numbers.
    pub(crate) fn servers(&self) -> &[String] {
        &self.servers
    }

    /// The number of the server that serves a slot, if one does.
    pub(crate) fn server(&self, slot: u16) -> Option<usize> {
        let number = self.slots.get(usize::from(slot)).copied()?;
        usize::from(number).checked_sub(1)
    }

    /// The number of a server, if the map has it.
    pub(crate) fn number(&self, address: &str) -> Option<usize> {
        self.servers.iter().position(|server| server == address)
    }

    /// The number of a server, which has no slots if it is new here.
    pub(crate) fn add(&mut self, address: &str) -> usize {
        self.number(address).unwrap_or_else(|| {
            self.servers.push(address.to_owned());
            self.servers.len() - 1
        })
    }

    /// Whether every slot has a server.
    pub(crate) fn is_whole(&self) -> bool {
        !self.slots.contains(&0)
    }

    /// Whether no slot has a server.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.iter().all(|number| *number == 0)
    }

    /// Gives the slots without a server the one that they had in the map `before`.
    pub(crate) fn fill_from(&mut self, before: &SlotMap) {
        for slot in 0..SLOTS {
            if self.server(slot).is_none()
                && let Some(number) = before.server(slot)
            {
                self.assign(slot, slot, &before.servers[number]);
            }
        }
    }

    /// Gives the slots from `first` to `last`, both included, to a server. Slots that a cluster doesn't have are
    /// ignored.
    pub(crate) fn assign(&mut self, first: u16, last: u16, address: &str) {
        let server = self.add(address);
        let Ok(number) = u16::try_from(server + 1) else {
            return;
        };
        let range = usize::from(first)..=usize::from(last.min(SLOTS - 1));
        if let Some(slots) = self.slots.get_mut(range) {
            slots.fill(number);
        }
    }
}

/// The unread rest of a reply in RESP.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn line(&mut self, kind: u8) -> Option<&'a str> {
        let end = memchr::memchr(b'\n', self.0)?;
        let line = self.0[..end].strip_suffix(b"\r")?.strip_prefix(&[kind])?;
        self.0 = &self.0[end + 1..];
        std::str::from_utf8(line).ok()
    }

    /// A count or an integer, which in this reply is never below 0.
    fn number(&mut self, kind: u8) -> Option<u32> {
        self.line(kind)?.parse().ok()
    }

    /// A string; the inner `None` is null.
    fn string(&mut self) -> Option<Option<&'a str>> {
        if self.0.starts_with(b"_") {
            return self.line(b'_').map(|_| None);
        }
        let length = match self.line(b'$')? {
            "-1" => return Some(None),
            length => length.parse::<usize>().ok()?,
        };
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest.strip_prefix(b"\r\n")?;
        std::str::from_utf8(text).ok().map(Some)
    }

    /// Steps over a value.
    fn skip(&mut self) -> Option<()> {
        let progress = ReplyFramer::new(ReplyShape::Resp).feed(self.0);
        self.0 = &self.0[progress.used..];
        (progress.state == FrameState::Done).then_some(())
    }
}

#[cfg(test)]
mod tests;
