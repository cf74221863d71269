//! A meta command for the owner of a key, and its reply, without bytes.

/// A meta command about one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PeerRequest {
    /// `mg`, `ms`, `md` or `ma`.
    pub(crate) verb: &'static str,
    /// The names of a nested key, or the one name that any other key is.
    pub(crate) names: Vec<Vec<u8>>,
    /// The flags, without those about the key and the opaque.
    pub(crate) flags: Vec<String>,
    /// The value of an `ms`.
    pub(crate) value: Option<Vec<u8>>,
}

impl PeerRequest {
    /// A command without a value.
    pub(crate) fn new(verb: &'static str, path: &[&[u8]], flags: Vec<String>) -> PeerRequest {
        PeerRequest {
            verb,
            names: path.iter().map(|name| name.to_vec()).collect(),
            flags,
            value: None,
        }
    }

    /// The name that decides the owner.
    pub(crate) fn key(&self) -> &[u8] {
        self.names.first().map_or(b"", |name| name)
    }
}

/// The reply to a [`PeerRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PeerReply {
    pub(crate) status: PeerStatus,
    pub(crate) value: Option<Vec<u8>>,
    /// Its flags, without those about the key and the opaque: `t60`, `W`.
    pub(crate) flags: Vec<String>,
}

/// The code of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PeerStatus {
    /// `HD`, or `VA` with a value.
    Done,
    /// `EN`, of `mg`.
    Miss,
    /// `NF`.
    NotFound,
    /// `NS`.
    NotStored,
    /// `EX`.
    Exists,
}

impl PeerReply {
    /// The token of the flag with this letter.
    pub(crate) fn flag(&self, letter: char) -> Option<&str> {
        self.flags.iter().find_map(|flag| flag.strip_prefix(letter))
    }

    /// The number of the flag with this letter; 0 if there is none.
    pub(crate) fn number(&self, letter: char) -> u64 {
        let token = self.flag(letter).unwrap_or_default();
        token.parse().unwrap_or_default()
    }
}
