//! The mark of a request from a peer: the meta flag `P`, which memcached accepts and ignores.
//!
//! ```text
//!   mg user:42 v f c t k O7 Pr5d1f20c3,10.0.0.1:11211
//!                            ││        └ the sender, as its list names it
//!                            │└ the fingerprint of its list of peers, in eight hexadecimal digits
//!                            └ what it asks for: r, o, c or f
//! ```
//!
//! A `P` with anything else behind it is no mark, and ignored as in memcached.

use std::fmt;

/// The purpose of a peer's request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PeerPurpose {
    /// `r`: a read for a copy. It doesn't win an item that is to be stored anew.
    Copy,
    /// `o`: the command of a client, for the owner of the key.
    Own,
    /// `c`: the key was changed; a copy of it is to be dropped.
    Changed,
    /// `f`: all keys were removed.
    Flushed,
}

impl PeerPurpose {
    const ALL: [(PeerPurpose, u8); 4] = [
        (PeerPurpose::Copy, b'r'),
        (PeerPurpose::Own, b'o'),
        (PeerPurpose::Changed, b'c'),
        (PeerPurpose::Flushed, b'f'),
    ];
}

/// A mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PeerMark {
    pub(crate) purpose: PeerPurpose,
    /// The fingerprint of the sender's list.
    pub(crate) list: u32,
    pub(crate) sender: String,
}

impl PeerMark {
    /// Reads the token of a flag `P`; `None` if it is no mark.
    pub(crate) fn read(token: &[u8]) -> Option<PeerMark> {
        let token = std::str::from_utf8(token).ok().filter(|it| it.is_ascii())?;
        let (letter, rest) = token.split_at_checked(1)?;
        let (list, sender) = rest.split_once(',')?;
        let mut all = PeerPurpose::ALL.into_iter();
        let (purpose, _) = all.find(|(_, byte)| letter.as_bytes() == [*byte])?;
        if list.len() != 8 || sender.is_empty() || list.starts_with('+') {
            return None;
        }
        Some(PeerMark {
            purpose,
            list: u32::from_str_radix(list, 16).ok()?,
            sender: sender.to_owned(),
        })
    }
}

impl fmt::Display for PeerMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = PeerPurpose::ALL.into_iter();
        let letter = all.find(|(purpose, _)| *purpose == self.purpose);
        let letter = letter.map_or('o', |(_, byte)| char::from(byte));
        write!(f, "P{letter}{:08x},{}", self.list, self.sender)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_reads_back() {
        for (purpose, _) in PeerPurpose::ALL {
            let mark = PeerMark {
                purpose,
                list: 0x00f1_e2d3,
                sender: "10.0.0.1:11211".into(),
            };
            let text = mark.to_string();
            assert_eq!(PeerMark::read(&text.as_bytes()[1..]), Some(mark), "{text}");
        }
    }

    #[test]
    fn anything_else_is_no_mark() {
        for token in [
            "",
            "o",
            "o,a:1",
            "o12345678",
            "o12345678,",
            "x12345678,a:1",
            "o1234567,a:1",
            "o+1234567,a:1",
            "o1234567g,a:1",
            "ö12345678,a:1",
            "1",
        ] {
            assert_eq!(PeerMark::read(token.as_bytes()), None, "{token}");
        }
    }
}
