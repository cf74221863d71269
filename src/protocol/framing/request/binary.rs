//! Requests in memcached's binary protocol: their headers name all lengths.
//!
//! The parser of the protocol reads header, extras and key, and the bytes of a value are counted, never read. A request
//! that memcached would refuse is refused here with its status, so that an upstream gets no request that it may read in
//! another way: its bytes stay in step for the other clients of the connection.
//!
//! - A quiet request, which may have no reply, is sent as the command of the same effect that always has one. memcached
//!   executes both alike. The [reply](BinaryReply) is translated back, or withheld.
//! - The bytes that a body announces behind the parts of its command are read as the next request, as memcached reads them.
//!   The header that is sent announces only the parts.
//! - Authentication is between a client and the proxy, because many clients share a connection. Until a client has
//!   authenticated, other requests are refused when their key has arrived. Without users its commands are unknown, as to a
//!   memcached without them.
//!
//! Cost: a request that is sent as it came is not copied. Memory: the body of a refused request is not kept.

use crate::protocol::framing::reply::{BinaryReply, ReplyShape, WithheldReply};
use crate::protocol::memcached::binary::{
    self, AfterBadRequest, BadRequest, Command, HEADER_LENGTH, Header, Parsed, ReplyTo, Status,
    reply, sasl,
};

use crate::protocol::framing::request::admission::Admission;
use crate::protocol::framing::request::frame::{
    LargeRequest, LocalCommand, MergeRule, MetaForm, REQUEST_LIMIT, Remainder, Request,
    RequestFrame, RequestWords, Route,
};

/// The state of a client's requests beyond the unread input.
#[derive(Debug, Default)]
pub struct BinaryFramer {
    /// A refused request, whose body is on its way.
    refused: Option<RefusedRequest>,
    admission: Admission,
}

/// The bytes of a body that are discarded before the error.
#[derive(Debug)]
struct RefusedRequest {
    left: usize,
    to: ReplyTo,
    status: Status,
}

impl BinaryFramer {
    pub(super) fn admit(&mut self, admission: Admission) {
        self.admission = admission;
    }

    /// Whether a request with this opcode may be answered, good or malformed.
    fn allows(&self, opcode: u8) -> bool {
        self.admission != Admission::Due || sasl::is_free(opcode)
    }

    pub(super) fn frame<'a>(
        &mut self,
        input: &'a [u8],
        rebuilt: &'a mut Vec<u8>,
    ) -> RequestFrame<'a> {
        if let Some(refused) = self.refused.take() {
            return self.discard(refused, input, 0);
        }
        match binary::parse(input) {
            Parsed::More { .. } => RequestFrame::Incomplete,
            Parsed::Foreign => RequestFrame::Bad {
                reply: b""[..].into(),
                consumed: input.len(),
                close: true,
            },
            Parsed::Done {
                request: binary::Request { to, .. },
                consumed,
            }
            | Parsed::Bad {
                bad: BadRequest { to, .. },
                consumed,
            } if !self.allows(to.opcode) => error(to, Status::AuthError, consumed, true),
            Parsed::Bad { bad, consumed } => self.refuse(&bad, input, consumed),
            Parsed::Done { request, consumed } => match self.refusal(&request) {
                Some(bad) => self.refuse(&bad, input, consumed),
                None => whole(request, input, consumed, rebuilt),
            },
        }
    }

    /// The error for a command of authentication whose data are discarded.
    fn refusal(&self, request: &binary::Request<'_>) -> Option<BadRequest> {
        let Command::Sasl(sasl) = request.command else {
            return None;
        };
        let status = match self.admission {
            Admission::Open => Status::UnknownCommand,
            Admission::Due | Admission::Given => sasl.refusal(REQUEST_LIMIT)?,
        };
        Some(BadRequest {
            to: request.to,
            status,
            then: AfterBadRequest::Continue {
                discard: sasl.length,
            },
        })
    }

    /// Refuses a request; its header, extras and key took `consumed` bytes.
    fn refuse(&mut self, bad: &BadRequest, input: &[u8], consumed: usize) -> RequestFrame<'static> {
        let &BadRequest { to, status, .. } = bad;
        match bad.then {
            AfterBadRequest::Close => error(to, status, consumed, true),
            AfterBadRequest::Continue { discard: left } => {
                let refused = RefusedRequest { left, to, status };
                self.discard(refused, &input[consumed..], consumed)
            }
        }
    }

    /// Discards bytes of a refused request, behind `consumed` others; the error follows the last.
    fn discard(
        &mut self,
        mut refused: RefusedRequest,
        input: &[u8],
        consumed: usize,
    ) -> RequestFrame<'static> {
        let discarded = refused.left.min(input.len());
        refused.left -= discarded;
        if refused.left == 0 {
            return error(refused.to, refused.status, consumed + discarded, false);
        }
        self.refused = Some(refused);
        RequestFrame::Nothing(consumed + discarded)
    }
}

fn error(to: ReplyTo, status: Status, consumed: usize, close: bool) -> RequestFrame<'static> {
    let mut out = Vec::new();
    reply::error(&mut out, to, status);
    RequestFrame::Bad {
        reply: out.into(),
        consumed,
        close,
    }
}

/// A request that is not refused; its header, extras and key took `consumed` bytes.
fn whole<'a>(
    request: binary::Request<'a>,
    input: &'a [u8],
    consumed: usize,
    rebuilt: &'a mut Vec<u8>,
) -> RequestFrame<'a> {
    let value = match request.command {
        Command::Store(store) => store.length,
        Command::Sasl(sasl) => sasl.length,
        _ => 0,
    };
    let total = consumed + value;
    let (route, withheld) = route(&request);
    let sent_opcode = binary::answered_opcode(request.to.opcode);
    let shape = ReplyShape::Binary(BinaryReply {
        to: request.to,
        sent_opcode,
        withheld,
    });
    let Some(header) = Header::read(input) else {
        return RequestFrame::Incomplete;
    };
    let sent = Header {
        opcode: sent_opcode,
        body_length: (total - HEADER_LENGTH) as u32,
        ..header
    };
    rebuilt.clear();
    if total > REQUEST_LIMIT {
        rebuilt.extend_from_slice(&sent.to_bytes());
        return RequestFrame::Large(LargeRequest {
            route,
            shape,
            meta: MetaForm::No,
            head: rebuilt,
            rest: Remainder::Bytes((total - HEADER_LENGTH) as u64),
        });
    }
    let Some(received) = input.get(..total) else {
        return RequestFrame::Incomplete;
    };
    let bytes = match sent == header {
        true => received,
        false => {
            rebuilt.extend_from_slice(&sent.to_bytes());
            rebuilt.extend_from_slice(&received[HEADER_LENGTH..]);
            rebuilt
        }
    };
    let frame = Request {
        bytes,
        route,
        shape,
        repeat_safe: matches!(request.command, Command::Retrieve { exptime: None, .. }),
        meta: MetaForm::No,
        source: RequestWords::Binary(request),
    };
    RequestFrame::Request(frame, total)
}

/// The route of a request, and the reply that its client doesn't get.
fn route<'a>(request: &binary::Request<'a>) -> (Route<'a>, WithheldReply) {
    let withheld = |reply| match request.quiet {
        true => reply,
        false => WithheldReply::None,
    };
    match request.command {
        Command::Retrieve { key, .. } => (Route::Key(key), withheld(WithheldReply::Miss)),
        Command::Touch { key, .. } | Command::Delete { key } => {
            (Route::Key(key), withheld(WithheldReply::Success))
        }
        Command::Store(store) => (Route::Key(store.key), withheld(WithheldReply::Success)),
        Command::Count(count) => (Route::Key(count.key), withheld(WithheldReply::Success)),
        Command::Flush { .. } => (
            Route::Every(MergeRule::SameFrame),
            withheld(WithheldReply::Success),
        ),
        Command::Noop
        | Command::Version
        | Command::Stat { .. }
        | Command::Quit
        | Command::Sasl(_) => (
            Route::Local(LocalCommand::Binary(*request)),
            WithheldReply::None,
        ),
    }
}

impl Request<'_> {
    /// The reply to a miss of this request, if it is a read of the binary protocol.
    pub(crate) fn binary_miss(&self) -> Option<Vec<u8>> {
        let request = self.binary()?;
        let Command::Retrieve { key, with_key, .. } = request.command else {
            return None;
        };
        let mut out = Vec::new();
        if !request.quiet {
            let shown = if with_key { key } else { b"" };
            reply::missing(&mut out, request.to, shown);
        }
        Some(out)
    }
}
