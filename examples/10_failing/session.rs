//! A client's side: its commands are gathered, each goes to the server that its key belongs to, and the replies come back
//! in the client's order.

use std::borrow::Cow;
use std::sync::Arc;

use larder::protocol::framing::reply::ReplyShape;
use larder::protocol::framing::request::{
    LocalCommand, MetaForm, Remainder, Request, RequestBuffers, RequestFrame, RequestFramer, Route,
};
use larder::protocol::memcached::text::{AdminCommand, Command, reply};
use larder::proxy::OnFailure;
use larder::server::limits::OUTPUT_SOFT_LIMIT;
use larder::server::{self, Next, Peer, Refusal, Service, Turn};

use super::ring::Ring;
use super::upstream::{Failure, Replies, Upstream};

/// Commands of one client that are under way together. Their replies are held in memory
/// until all have come.
const BATCH: usize = 64;

/// The servers of the pool, the placement of keys on them, and the answer for the keys of an
/// ejected server.
pub(crate) struct Pool {
    pub(crate) upstreams: Vec<Upstream>,
    pub(crate) ring: Ring,
    pub(crate) on_failure: OnFailure,
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
    One(Part),
    /// Several, put together.
    Values(Vec<Part>),
    /// One of every server: they are equal, or one is an error.
    Same(Vec<Part>),
    /// An answer that comes from no server.
    Say(Cow<'static, [u8]>),
}

/// One reply.
enum Part {
    /// The next of this server. A read is kept, to be sent again if its reply is lost.
    Asked(usize, Option<Read>),
    /// None: this server was not asked.
    Failed(usize, Failure),
    /// A miss, without asking a server.
    Miss,
}

/// A request that changes nothing.
struct Read {
    key: Vec<u8>,
    request: Vec<u8>,
    shape: ReplyShape,
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
                scatter(&self.pool, due, &replies, output);
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
                    if let Route::Key(key) = large.route
                        && let Target::Server(server) = self.pool.locate(key)
                    {
                        let delete = [b"delete ", key, b" noreply\r\n"].concat();
                        batch.send(server, &delete, ReplyShape::Nothing);
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

/// The server to ask for a key.
enum Target {
    Server(usize),
    /// Its server is ejected, and no other takes its place.
    Ejected(usize),
}

impl Pool {
    fn locate(&self, key: &[u8]) -> Target {
        let mut servers = self.ring.successors(key);
        let home = servers.next().unwrap_or(0);
        let in_use = |server: &usize| !self.upstreams[*server].health.is_ejected();
        if in_use(&home) {
            return Target::Server(home);
        }
        match self.on_failure {
            OnFailure::Next => servers
                .find(in_use)
                .map_or(Target::Ejected(home), Target::Server),
            OnFailure::Error | OnFailure::Miss => Target::Ejected(home),
        }
    }

    /// Adds a request to the share of its key's server, unless that is ejected.
    fn part(
        &self,
        key: &[u8],
        request: &[u8],
        shape: ReplyShape,
        repeat_safe: bool,
        batch: &mut Batch,
    ) -> Part {
        match self.locate(key) {
            Target::Server(server) => {
                batch.send(server, request, shape);
                let read = repeat_safe.then(|| Read {
                    key: key.to_vec(),
                    request: request.to_vec(),
                    shape,
                });
                Part::Asked(server, read)
            }
            Target::Ejected(_) if repeat_safe && self.on_failure == OnFailure::Miss => Part::Miss,
            Target::Ejected(server) => Part::Failed(server, Failure::Ejected),
        }
    }

    /// Gives a request to its servers.
    fn place(&self, request: &Request<'_>, batch: &mut Batch) {
        let (bytes, shape, repeat_safe) = (request.bytes, request.shape, request.repeat_safe);
        if !matches!(request.meta, MetaForm::No) {
            // A meta command may get no reply, and this stage can't predict which.
            return batch.due.push(Due::Say(reply::ERROR.into()));
        }
        match request.route {
            Route::Key(key) => {
                let part = self.part(key, bytes, shape, repeat_safe, batch);
                if shape != ReplyShape::Nothing {
                    batch.due.push(Due::One(part));
                }
            }
            Route::Split(_, keys) => {
                // `get a b c` becomes `get a`, `get b`, `get c`, each at the server of its key.
                let mut words = bytes
                    .split(|byte| *byte == b' ')
                    .filter(|word| !word.is_empty());
                let verb = words.next().unwrap_or_default();
                let exptime = words.next().filter(|_| verb.starts_with(b"gat"));
                let parts = keys.iter().map(|key| {
                    let line: Vec<&[u8]> = [Some(verb), exptime, Some(key)]
                        .into_iter()
                        .flatten()
                        .collect();
                    let request = [&line.join(&b' ')[..], b"\r\n"].concat();
                    self.part(key, &request, ReplyShape::Values, repeat_safe, batch)
                });
                let parts = parts.collect();
                batch.due.push(Due::Values(parts));
            }
            Route::Every(_) => {
                let parts = (0..self.upstreams.len()).map(|server| {
                    if self.upstreams[server].health.is_ejected() {
                        return Part::Failed(server, Failure::Ejected);
                    }
                    batch.send(server, bytes, shape);
                    Part::Asked(server, None)
                });
                let parts = parts.collect();
                if shape != ReplyShape::Nothing {
                    batch.due.push(Due::Same(parts));
                }
            }
            // Any server in use can answer.
            Route::Any => self.any(bytes, shape, batch),
            Route::Local(LocalCommand::Memcached(Command::Admin(AdminCommand::Version))) => {
                self.any(bytes, ReplyShape::Line, batch)
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

    fn any(&self, bytes: &[u8], shape: ReplyShape, batch: &mut Batch) {
        let in_use = |upstream: &Upstream| !upstream.health.is_ejected();
        let server = self.upstreams.iter().position(in_use).unwrap_or(0);
        batch.send(server, bytes, shape);
        batch.due.push(Due::One(Part::Asked(server, None)));
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
}

impl Pool {
    /// A reply, or the error in its place.
    fn reply(&self, part: &Part, replies: &[Replies]) -> Vec<u8> {
        let (server, failure) = match part {
            Part::Miss => return reply::END.to_vec(),
            Part::Failed(server, failure) => (*server, *failure),
            Part::Asked(server, again) => match (replies[*server].next(), again) {
                (Ok(reply), _) => return reply,
                // The server may have carried it out or not. A read may be sent again, to the
                // server that its key belongs to by now.
                (Err(Failure::Lost), Some(read)) => match self.again(read) {
                    Some(reply) => return reply,
                    None => (*server, Failure::Lost),
                },
                (Err(failure), _) => (*server, failure),
            },
        };
        let address = &self.upstreams[server].address;
        format!("SERVER_ERROR upstream {address} {failure}\r\n").into_bytes()
    }

    /// The answer to a read that is sent a second time, which happens once.
    fn again(&self, read: &Read) -> Option<Vec<u8>> {
        match self.locate(&read.key) {
            Target::Server(server) => {
                let replies = self.upstreams[server].ask(&read.request, &[read.shape]);
                replies.next().ok()
            }
            Target::Ejected(_) => None,
        }
    }
}

/// Appends an answer of the client's.
fn scatter(pool: &Pool, due: &Due, replies: &[Replies], output: &mut Vec<u8>) {
    match due {
        Due::Say(text) => output.extend_from_slice(text),
        Due::One(part) => output.extend_from_slice(&pool.reply(part, replies)),
        Due::Values(parts) => {
            // All of them, even after an error: each must be taken off its queue.
            let parts: Vec<Vec<u8>> = parts.iter().map(|part| pool.reply(part, replies)).collect();
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
        Due::Same(parts) => {
            let parts: Vec<Vec<u8>> = parts.iter().map(|part| pool.reply(part, replies)).collect();
            let error = parts.iter().find(|part| part.starts_with(b"SERVER_ERROR"));
            output.extend(error.or(parts.first()).into_iter().flatten());
        }
    }
}
