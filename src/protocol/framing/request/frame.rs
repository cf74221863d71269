//! A framed request of a client: its bytes, its route, and the handling of its replies.

use std::borrow::Cow;

use crate::protocol::framing::reply::{FrameState, ReplyFramer, ReplyShape};
use crate::protocol::framing::request::keys::RequestKeys;
use crate::protocol::memcached::binary;
use crate::protocol::memcached::text::{self, Command};
use crate::protocol::resp::{CommandArgs, CommandWords};

/// Most bytes of a request that is held in memory as a whole, in bytes. A longer one is [`RequestFrame::Large`]. memcached's
/// largest item by default, so that larger ones are rare.
pub(crate) const REQUEST_LIMIT: usize = 1024 * 1024;

/// Most bytes of a request that has to be held whole, because all of its words decide its route. Memory is allocated
/// only for received bytes. A longer one is refused with an error, and the connection stays open.
pub(crate) const WHOLE_LIMIT: usize = 64 * 1024 * 1024;

/// Buffers that a worker lends to its framers, so that an idle client needs none.
#[derive(Debug, Default)]
pub struct RequestBuffers {
    pub(super) words: CommandWords,
    /// A request in other bytes than those received.
    pub(super) rebuilt: Vec<u8>,
    /// A key that came in base64.
    pub(super) decoded: Vec<u8>,
}

/// The start of the input.
pub enum RequestFrame<'a> {
    /// A request, and the number of its bytes in the input.
    Request(Request<'a>, usize),
    /// Bytes that are no request, such as a blank line, or the value of a refused command.
    Nothing(usize),
    /// The rest has not arrived.
    Incomplete,
    /// A request over [`REQUEST_LIMIT`]; none of it but its head is consumed.
    Large(LargeRequest<'a>),
    /// Not the protocol.
    Bad {
        /// The reply to the client; may be empty.
        reply: Cow<'static, [u8]>,
        /// Bytes consumed.
        consumed: usize,
        /// Whether the connection is closed then.
        close: bool,
    },
}

/// A request that is complete.
pub struct Request<'a> {
    /// The bytes to send to an upstream. They can differ from the input: an inline command becomes an array.
    pub bytes: &'a [u8],
    /// Its route.
    pub route: Route<'a>,
    /// The framing of the reply; [`ReplyShape::Nothing`] if none comes.
    pub shape: ReplyShape,
    /// Whether it changes nothing, and so may be retried when it may already have been executed.
    pub repeat_safe: bool,
    /// The form of a meta command of memcached.
    pub meta: MetaForm,
    /// The parsed words, for dividing it among several servers.
    pub(crate) source: RequestWords<'a>,
}

/// The words of a request, by its protocol.
#[derive(Clone, Copy)]
pub(crate) enum RequestWords<'a> {
    Resp(CommandArgs<'a>),
    Memcached(Command<'a>),
    /// The flags of a meta command.
    Meta(text::Words<'a>),
    /// Of memcached's binary protocol.
    Binary(binary::Request<'a>),
}

impl<'a> Request<'a> {
    /// The command of a request in memcached's text protocol; none for another one.
    pub fn command(&self) -> Option<Command<'a>> {
        match self.source {
            RequestWords::Memcached(command) => Some(command),
            _ => None,
        }
    }

    /// A request of memcached's binary protocol; none for another one.
    pub(crate) fn binary(&self) -> Option<binary::Request<'a>> {
        match self.source {
            RequestWords::Binary(request) => Some(request),
            _ => None,
        }
    }

    /// The words of a RESP request, its name first; none for memcached.
    pub fn args(&self) -> Option<CommandArgs<'a>> {
        match self.source {
            RequestWords::Resp(args) => Some(args),
            _ => None,
        }
    }
}

/// The form of a meta command of memcached, which decides how it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetaForm {
    /// It is none.
    No,
    /// It is a line.
    Line {
        /// There may be no reply.
        quiet: bool,
    },
    /// A block follows the line. It may be sent only to a server that supports meta commands.
    Block {
        /// There may be no reply.
        quiet: bool,
    },
}

impl MetaForm {
    /// Whether there may be no reply.
    pub(crate) fn is_quiet(self) -> bool {
        matches!(
            self,
            MetaForm::Line { quiet: true } | MetaForm::Block { quiet: true }
        )
    }
}

/// The route of a request.
#[derive(Clone, Copy)]
pub enum Route<'a> {
    /// To the upstream of this key. For an unknown command this is its first argument.
    Key(&'a [u8]),
    /// To the upstream of these keys; if they belong to several, it is refused.
    Together(RequestKeys<'a>),
    /// To the upstream of these keys; if they belong to several, divided into a part for each.
    Split(MergeRule, RequestKeys<'a>),
    /// To any upstream.
    Any,
    /// To the only upstream; if there are several, it is refused.
    Only,
    /// To all upstreams; the replies are put together.
    Every(MergeRule),
    /// `SCAN`: to one upstream after the other, by its cursor.
    Scan,
    /// Nowhere: the proxy answers.
    Local(LocalCommand<'a>),
    /// Over an upstream connection that this client has for itself, to the upstream of the keys if there are some.
    Dedicated(DedicatedReason, RequestKeys<'a>),
    /// Nowhere: a proxy can't support it.
    Refused,
}

/// The merge of the replies to the parts of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeRule {
    /// `VALUE` blocks in the order of the keys, then one `END`.
    Values,
    /// An array with an element for each key, in the order of the keys.
    Array,
    /// An array with the elements of all.
    Concat,
    /// An integer: the sum.
    Sum,
    /// One reply or none, and then the one that marks the end.
    Fenced,
    /// All do the same: the first error, or else the first reply.
    Same,
    /// An integer: the least.
    Min,
    /// An array of integers of equal length: each is 1 if all have a 1 there.
    And,
    /// The first reply that is no error, or else the first error.
    OneSucceeded,
    /// An array of the elements that occur in any of the arrays.
    Union,
    /// An array of names, each followed by the sum of its numbers.
    PairSums,
    /// A random one of the replies that are not null.
    OneOf,
    /// The text of `INFO`: figures are summed if the sum has a meaning, the others are the first one's.
    Info,
    /// memcached's `STAT` lines or frames, likewise.
    Stats,
    /// All do the same, in memcached's binary protocol: the first error, or else the first reply.
    SameFrame,
    /// The reply to `SCAN`, with another cursor.
    Scan,
}

impl MergeRule {
    /// Whether no part of the reply is known before all replies are complete.
    pub(crate) fn needs_whole_replies(self) -> bool {
        matches!(
            self,
            MergeRule::Min
                | MergeRule::And
                | MergeRule::OneSucceeded
                | MergeRule::Union
                | MergeRule::PairSums
                | MergeRule::OneOf
                | MergeRule::Info
                | MergeRule::Stats
                | MergeRule::SameFrame
        )
    }
}

/// A command that the proxy answers itself.
#[derive(Clone, Copy)]
pub enum LocalCommand<'a> {
    /// A command of Redis about the connection between client and server.
    Resp(ConnectionCommand, CommandArgs<'a>),
    /// `version`, `stats`, `quit`, `mn` and `shutdown` of memcached.
    Memcached(Command<'a>),
    /// `version`, `stat`, `quit`, `noop` and the commands of authentication of memcached's binary protocol.
    Binary(binary::Request<'a>),
}

/// Redis's commands about the connection, which is the proxy's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the commands")]
pub enum ConnectionCommand {
    Auth,
    Client,
    Cluster,
    Command,
    Hello,
    Info,
    Ping,
    Quit,
    /// `READONLY` and `READWRITE`.
    ReadOnly,
    Reset,
    Select,
    /// `ACL WHOAMI`.
    WhoAmI,
}

/// The reason why a client needs an upstream connection for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DedicatedReason {
    /// `MULTI` and `WATCH`: the following commands belong together.
    Transaction,
    /// It may wait, and would delay all later requests on the connection.
    Blocking,
    /// Messages come at any time, or several replies.
    Subscribe,
    /// `MONITOR`.
    Monitor,
    /// `CLIENT TRACKING`: the server notes the keys that this connection reads.
    Tracking,
}

/// A request that is not held as a whole, but streamed over an upstream connection of its own.
pub struct LargeRequest<'a> {
    /// The route, as far as the received bytes decide it: [`Route::Key`], [`Route::Only`] or
    /// [`Route::Refused`].
    pub route: Route<'a>,
    /// The framing of the reply.
    pub shape: ReplyShape,
    /// The form of a meta command of memcached.
    pub meta: MetaForm,
    /// Its first bytes, as they are to be sent; as many of the input are consumed.
    pub head: &'a [u8],
    /// Finds the end of the request; it must be given all bytes behind the head.
    pub rest: Remainder,
}

/// Finds the end of a [`LargeRequest`] request.
#[derive(Debug)]
pub enum Remainder {
    /// An array of bulk strings is framed like one in a reply.
    Resp(ReplyFramer),
    /// This many bytes are still to come.
    Bytes(u64),
}

impl Remainder {
    /// Takes the next bytes of the request. Returns the number that belong to it, and whether it is complete. `None`
    /// if they don't follow the protocol; the client has to be closed.
    pub fn feed(&mut self, bytes: &[u8]) -> Option<(usize, bool)> {
        match self {
            Remainder::Resp(framer) => {
                let progress = framer.feed(bytes);
                match progress.state {
                    FrameState::More => Some((progress.used, false)),
                    FrameState::Done => Some((progress.used, true)),
                    FrameState::Garbage => None,
                }
            }
            Remainder::Bytes(left) => {
                let used = bytes
                    .len()
                    .min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= used as u64;
                Some((used, *left == 0))
            }
        }
    }
}
