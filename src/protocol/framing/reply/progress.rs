//! The framing of replies, and the progress of a framer within one.

/// The framing of the reply to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyShape {
    /// No reply comes.
    Nothing,
    /// One value of RESP.
    Resp,
    /// memcached's binary protocol: one frame.
    Binary,
    /// memcached: one line.
    Line,
    /// memcached: `VALUE` blocks up to `END`.
    Values,
    /// memcached: `STAT` lines up to `END`, or one line.
    Stats,
    /// memcached's meta commands: `VA` and a block, or one line.
    Meta,
    /// One of these or none, and then `MN`.
    Fenced,
}

/// The result of reading some bytes of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameProgress {
    /// The number of the bytes that belong to the reply.
    pub used: usize,
    /// Whether it is complete with them.
    pub state: FrameState,
}

/// Whether a reply is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameState {
    /// All bytes were used, and more belong to it.
    More,
    /// It is complete. The framer can be given the next.
    Done,
    /// These bytes are no reply.
    Garbage,
}
