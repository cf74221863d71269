//! A client's side: its commands are gathered, each goes to the server that its key belongs to, and the replies come back
//! in the client's order.

use std::borrow::Cow;
use std::sync::Arc;

use larder::protocol::framing::reply::ReplyShape;
use larder::protocol::framing::request::{
    LocalCommand, MetaForm, Remainder, Request, RequestBuffers, RequestFrame, RequestFramer, Route,
};
use larder::protocol::memcached::text::{AdminCommand, Command, reply};
use larder::server::limits::OUTPUT_SOFT_LIMIT;
use larder::server::{self, Next, Peer, Refusal, Service, Turn};

use super::ring::Ring;
use super::upstream::{Replies, Upstream};

/// Commands of one client that are under way together. Their replies are held in memory
/// until all have come.
const BATCH: usize = 64;

/// The servers behind us, and the placement of keys on them.
pub(crate) struct Pool {
    pub(crate) upstreams: Vec<Upstream>,
    pub(crate) ring: Ring,
}

/// Forwards memcached's text protocol.
pub(crate) struct Forward {
    pool: Arc<Pool>,
}

impl Forward {
    pub(crate) fn new(pool: Arc<Pool>) -> Forward {
        Forward { pool }
    }
}

impl Service for Forward {
    fn protocol(&self) -> &'static str {
        "memcached"
    }

    fn open(&self, _: Peer) -> Box<dyn server::Session> {
        Box::new(Session {
            pool: Arc::clone(&self.pool),
            framer: RequestFramer::memcached(),
            scratch: RequestBuffers::default(),
            large: None,
        })
    }

    fn refusal(&self, _: Refusal) -> Cow<'static, [u8]> {
        reply::TOO_MANY_CONNECTIONS.into()
    }
}

/// One client.
struct Session {
    pool: Arc<Pool>,
    framer: RequestFramer,
    scratch: RequestBuffers,
    /// The rest of a value that is too large, and whether the client gets an answer.
    large: Option<(Remainder, bool)>,
}

/// Requests that are sent together.
struct Batch {
    consumed: usize,
    /// The requests for each server.
    shares: Vec<Share>,
    /// The client's answers, in its order.
    due: Vec<Due>,
    then: Then,
}

/// Requests to one server, and the framing of their replies.
#[derive(Default, Clone)]
struct Share {
    requests: Vec<u8>,
    shapes: Vec<ReplyShape>,
}

/// The answer to one request.
enum Due {
    /// The next reply of this server.
    One(usize),
    /// The next replies of these servers, put together.
    Values(Vec<usize>),
    /// A reply of every server: they are equal, or one is an error.
    Same,
    /// An answer that comes from no server.
    Say(Cow<'static, [u8]>),
}

enum Then {
    /// There may be more in the input.
    GoOn,
    Read,
    Close,
}

impl server::Session for Session {
    fn turn(&mut self, input: &[u8], output: &mut Vec<u8>) -> Turn {
        let full = output.len() + OUTPUT_SOFT_LIMIT;
        let mut consumed = 0;
        loop {
            let mut batch = Batch {
                consumed: 0,
                shares: vec![Share::default(); self.pool.upstreams.len()],
                due: Vec::new(),
                then: Then::GoOn,
            };
            self.gather(&input[consumed..], &mut batch);
            consumed += batch.consumed;
            let replies = self.pool.forward(&batch.shares);
            for due in &batch.due {
                scatter(due, &replies, output);
            }
            let next = match batch.then {
                Then::GoOn if output.len() <= full => continue,
                Then::GoOn => Next::Again,
                Then::Read => Next::Read,
                Then::Close => Next::Close,
            };
            return Turn { consumed, next };
        }
    }
}

impl Session {
    /// Takes requests off the start of the input, as many as may go together.
    fn gather(&mut self, input: &[u8], batch: &mut Batch) {
        while batch.due.len() < BATCH {
            let rest = &input[batch.consumed..];
            if let Some((large, tell)) = &mut self.large {
                let Some((used, true)) = large.feed(rest) else {
                    batch.consumed = input.len();
                    batch.then = Then::Read;
                    return;
                };
                batch.consumed += used;
                if *tell {
                    batch.due.push(Due::Say(reply::TOO_LARGE.into()));
                }
                self.large = None;
                continue;
            }
            match self.framer.frame(rest, &mut self.scratch) {
                RequestFrame::Request(request, used) => {
                    batch.consumed += used;
                    self.pool.place(&request, batch);
                }
                RequestFrame::Nothing(used) => batch.consumed += used,
                RequestFrame::Bad {
                    reply,
                    consumed,
                    close,
                } => {
                    batch.consumed += consumed;
                    batch.due.push(Due::Say(reply));
                    if close {
                        batch.then = Then::Close;
                    }
                }
                // Counted off and dropped. The old value goes, too, as it would if
                // memcached had refused the new one.
                RequestFrame::Large(large) => {
                    if let Route::Key(key) = large.route {
                        let delete = [b"delete ", key, b" noreply\r\n"].concat();
                        batch.send(self.pool.ring.server(key), &delete, ReplyShape::Nothing);
                    }
                    self.large = Some((large.rest, large.shape != ReplyShape::Nothing));
                }
                RequestFrame::Incomplete => batch.then = Then::Read,
            }
            if !matches!(batch.then, Then::GoOn) {
                return;
            }
        }
    }
}

impl Pool {
    /// Gives a request to its servers.
    fn place(&self, request: &Request<'_>, batch: &mut Batch) {
        let (bytes, shape) = (request.bytes, request.shape);
        if !matches!(request.meta, MetaForm::No) {
            // A meta command may get no reply, and this stage can't predict which.
            return batch.due.push(Due::Say(reply::ERROR.into()));
        }
        match request.route {
            Route::Key(key) => batch.ask(self.ring.server(key), bytes, shape),
            Route::Split(_, keys) => {
                // `get a b c` becomes `get a`, `get b`, `get c`, each at the server of its key.
                let mut words = bytes
                    .split(|byte| *byte == b' ')
                    .filter(|word| !word.is_empty());
                let verb = words.next().unwrap_or_default();
                let exptime = words.next().filter(|_| verb.starts_with(b"gat"));
                let servers = keys.iter().map(|key| {
                    let line: Vec<&[u8]> = [Some(verb), exptime, Some(key)]
                        .into_iter()
                        .flatten()
                        .collect();
                    let request = [&line.join(&b' ')[..], b"\r\n"].concat();
                    let server = self.ring.server(key);
                    batch.send(server, &request, ReplyShape::Values);
                    server
                });
                let servers = servers.collect();
                batch.due.push(Due::Values(servers));
            }
            Route::Every(_) => {
                for server in 0..self.upstreams.len() {
                    batch.send(server, bytes, shape);
                }
                if shape != ReplyShape::Nothing {
                    batch.due.push(Due::Same);
                }
            }
            // Any server can answer.
            Route::Any => batch.ask(0, bytes, shape),
            Route::Local(LocalCommand::Memcached(Command::Admin(AdminCommand::Version))) => {
                batch.ask(0, bytes, ReplyShape::Line)
            }
            Route::Local(LocalCommand::Memcached(Command::Admin(AdminCommand::Quit))) => {
                batch.then = Then::Close
            }
            Route::Local(LocalCommand::Memcached(Command::Admin(AdminCommand::MetaNoop))) => {
                batch.due.push(Due::Say(reply::META_NOOP.into()));
            }
            Route::Local(LocalCommand::Memcached(Command::Admin(AdminCommand::Shutdown))) => {
                batch.due.push(Due::Say(reply::SHUTDOWN_DISABLED.into()));
            }
            _ => batch.due.push(Due::Say(reply::ERROR.into())),
        }
    }

    /// Sends every server its share, then waits for none of them: the replies are fetched
    /// when they are due.
    fn forward(&self, shares: &[Share]) -> Vec<Replies> {
        let pairs = self.upstreams.iter().zip(shares);
        pairs
            .map(|(upstream, share)| upstream.ask(&share.requests, &share.shapes))
            .collect()
    }
}

impl Batch {
    /// One more request for this server.
    fn send(&mut self, server: usize, request: &[u8], shape: ReplyShape) {
        let share = &mut self.shares[server];
        share.requests.extend_from_slice(request);
        if shape != ReplyShape::Nothing {
            share.shapes.push(shape);
        }
    }

    /// The same, and the client is due its reply, if one comes.
    fn ask(&mut self, server: usize, request: &[u8], shape: ReplyShape) {
        self.send(server, request, shape);
        if shape != ReplyShape::Nothing {
            self.due.push(Due::One(server));
        }
    }
}

/// Appends an answer of the client's.
fn scatter(due: &Due, replies: &[Replies], output: &mut Vec<u8>) {
    match due {
        Due::Say(text) => output.extend_from_slice(text),
        Due::One(server) => output.extend_from_slice(&replies[*server].next()),
        Due::Values(servers) => {
            // All of them, even after an error: each must be taken off its queue.
            let parts: Vec<Vec<u8>> = servers
                .iter()
                .map(|server| replies[*server].next())
                .collect();
            let values: Option<Vec<&[u8]>> = parts
                .iter()
                .map(|part| part.strip_suffix(reply::END))
                .collect();
            match values {
                Some(values) => {
                    values
                        .iter()
                        .for_each(|value| output.extend_from_slice(value));
                    output.extend_from_slice(reply::END);
                }
                // One that is an error is the answer to the whole.
                None => output.extend(
                    parts
                        .iter()
                        .find(|part| !part.ends_with(reply::END))
                        .into_iter()
                        .flatten(),
                ),
            }
        }
        Due::Same => {
            let parts: Vec<Vec<u8>> = replies.iter().map(Replies::next).collect();
            let error = parts.iter().find(|part| part.starts_with(b"SERVER_ERROR"));
            output.extend(error.or(parts.first()).into_iter().flatten());
        }
    }
}
