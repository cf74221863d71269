//! A client's side: its commands are gathered, sent together, and answered in its order.

use std::borrow::Cow;
use std::sync::Arc;

use larder::protocol::resp::{CommandArgs, CommandWords, Limits, ReadOutcome, Reader, Reply};
use larder::server::limits::OUTPUT_SOFT_LIMIT;
use larder::server::{self, Next, Peer, Refusal, Service, Turn};

use super::upstream::Upstream;

/// Most commands of one client that are forwarded together. Their replies are held in memory until all have come.
const BATCH: usize = 64;

const LIMITS: Limits = Limits {
    bulk: 16 * 1024 * 1024,
    request: 32 * 1024 * 1024,
    unauthenticated: false,
};

const NOT_POSSIBLE: &str = "ERR this command is not possible through a proxy";

/// Forwards RESP.
pub(crate) struct Forward {
    upstream: Arc<Upstream>,
}

impl Forward {
    pub(crate) fn new(upstream: Arc<Upstream>) -> Forward {
        Forward { upstream }
    }
}

impl Service for Forward {
    fn protocol(&self) -> &'static str {
        "resp"
    }

    fn open(&self, _: Peer) -> Box<dyn server::Session> {
        Box::new(Session {
            upstream: Arc::clone(&self.upstream),
            reader: Reader::default(),
            words: CommandWords::default(),
        })
    }

    fn refusal(&self, _: Refusal) -> Cow<'static, [u8]> {
        b"-ERR max number of clients reached\r\n"[..].into()
    }
}

/// One client.
struct Session {
    upstream: Arc<Upstream>,
    reader: Reader,
    words: CommandWords,
}

/// Commands that are forwarded together.
#[derive(Default)]
struct Batch {
    consumed: usize,
    requests: Vec<u8>,
    count: usize,
    /// Our own answer to the command after them.
    say: Vec<u8>,
    then: Then,
}

/// The step that follows a batch.
#[derive(Default)]
enum Then {
    /// The next batch: there may be more in the input.
    #[default]
    GoOn,
    Read,
    Close,
}

impl server::Session for Session {
    fn turn(&mut self, input: &[u8], output: &mut Vec<u8>) -> Turn {
        let full = output.len() + OUTPUT_SOFT_LIMIT;
        let mut consumed = 0;
        loop {
            let batch = self.gather(&input[consumed..]);
            consumed += batch.consumed;
            if batch.count > 0 {
                self.upstream.ask(&batch.requests, batch.count, output);
            }
            output.extend_from_slice(&batch.say);
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
    /// Takes commands off the start of the input, as many as may go together.
    fn gather(&mut self, input: &[u8]) -> Batch {
        let mut batch = Batch::default();
        while batch.has_room() {
            let rest = &input[batch.consumed..];
            match self.reader.read(rest, &LIMITS, &mut self.words) {
                ReadOutcome::Command(used) => {
                    batch.consumed += used;
                    batch.add(self.words.args(rest));
                }
                ReadOutcome::TooLarge(used) => {
                    batch.consumed += used;
                    batch.refuse("ERR the command is too large");
                }
                ReadOutcome::Incomplete(used) => {
                    batch.consumed += used;
                    batch.then = Then::Read;
                }
                ReadOutcome::Bad(error) => {
                    batch.refuse([b"ERR Protocol error: ", &error.text()[..]].concat());
                    batch.then = Then::Close;
                }
                ReadOutcome::Overflow => batch.then = Then::Close,
            }
        }
        batch
    }
}

impl Batch {
    /// A command that we answer ourselves is the last of its batch: its answer stands behind the replies.
    fn has_room(&self) -> bool {
        self.count < BATCH && self.say.is_empty() && matches!(self.then, Then::GoOn)
    }

    /// Forwards a command, or answers it.
    fn add(&mut self, args: CommandArgs<'_>) {
        match decide(args) {
            Decision::Nothing => {}
            Decision::Forward => {
                let mut request = Reply::new(&mut self.requests, false, usize::MAX);
                request.array(args.len());
                args.iter().for_each(|word| request.bulk(word));
                self.count += 1;
            }
            Decision::Refuse(why) => self.refuse(why),
            Decision::Quit => {
                Reply::new(&mut self.say, false, usize::MAX).ok();
                self.then = Then::Close;
            }
            Decision::Drop => self.then = Then::Close,
        }
    }

    fn refuse(&mut self, why: impl AsRef<[u8]>) {
        Reply::new(&mut self.say, false, usize::MAX).error(why);
    }
}

enum Decision {
    /// It needs no reply.
    Nothing,
    Forward,
    Refuse(&'static str),
    Quit,
    /// Close without an answer.
    Drop,
}

/// Commands that wait, have more replies than one or none, or change the connection for all its clients.
const NOT_SHARED: &str = "auth blmove blmpop blpop brpop brpoplpush bzmpop bzpopmax bzpopmin client \
    debug discard exec monitor multi psubscribe psync punsubscribe replconf reset shutdown ssubscribe \
    subscribe sunsubscribe sync unsubscribe unwatch wait watch xread xreadgroup";

/// Whether a command may go over the shared connection.
fn decide(args: CommandArgs<'_>) -> Decision {
    if args.is_empty() {
        return Decision::Nothing;
    }
    let name = String::from_utf8_lossy(&args[0]).to_ascii_lowercase();
    match name.as_str() {
        "quit" => Decision::Quit,
        // The first words of a browser's request: a web page must not be able to send commands.
        "post" | "host:" => Decision::Drop,
        "hello" if args.len() > 1 && &args[1] != b"2" => {
            Decision::Refuse("NOPROTO unsupported protocol version")
        }
        "hello" if args.len() > 2 => Decision::Refuse(NOT_POSSIBLE),
        "select" if args.len() == 2 && &args[1] == b"0" => Decision::Forward,
        "select" => Decision::Refuse("ERR DB index is out of range"),
        _ if NOT_SHARED.split(' ').any(|other| other == name) => Decision::Refuse(NOT_POSSIBLE),
        _ => Decision::Forward,
    }
}
