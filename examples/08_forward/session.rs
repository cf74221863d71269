//! A client's side: its commands are gathered, sent together, and answered in its order.

use std::borrow::Cow;
use std::sync::Arc;

use larder::protocol::resp::{CommandArgs, CommandWords, Limits, ReadOutcome, Reader, Reply};
use larder::server::limits::OUTPUT_SOFT_LIMIT;
use larder::server::{self, Next, Peer, Refusal, Service, Turn};

use super::upstream::Upstream;

/// Commands of one client that are under way together. Their replies are held in memory
/// until all are there.
const BATCH: usize = 64;

const LIMITS: Limits = Limits {
    bulk: 16 * 1024 * 1024,
    request: 32 * 1024 * 1024,
    unauthenticated: false,
};

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

// ANCHOR: turn
/// What is sent in one go, and what follows when it is answered.
#[derive(Default)]
struct Batch {
    consumed: usize,
    requests: Vec<u8>,
    count: usize,
    /// What we say ourselves, behind the replies.
    say: Vec<u8>,
    then: Then,
}

#[derive(Default)]
enum Then {
    /// There may be more in the input.
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
// ANCHOR_END: turn

impl Session {
    // ANCHOR: gather
    /// Takes commands off the start of the input, as many as may go together. One that we
    /// answer ourselves is the last: its answer stands behind the others.
    fn gather(&mut self, input: &[u8]) -> Batch {
        let mut batch = Batch::default();
        while batch.count < BATCH {
            let rest = &input[batch.consumed..];
            let step = self.reader.read(rest, &LIMITS, &mut self.words);
            let (ReadOutcome::Command(used)
            | ReadOutcome::TooLarge(used)
            | ReadOutcome::Incomplete(used)) = step
            else {
                batch.then = Then::Close;
                if let ReadOutcome::Bad(error) = step {
                    let text = [b"ERR Protocol error: ", &error.text()[..]].concat();
                    Reply::new(&mut batch.say, false, usize::MAX).error(text);
                }
                break;
            };
            batch.consumed += used;
            let mut say = Reply::new(&mut batch.say, false, usize::MAX);
            match step {
                ReadOutcome::Command(_) => {
                    let args = self.words.args(rest);
                    match decide(args) {
                        Decision::Nothing => continue,
                        Decision::Forward => {
                            let mut request = Reply::new(&mut batch.requests, false, usize::MAX);
                            request.array(args.len());
                            args.iter().for_each(|word| request.bulk(word));
                            batch.count += 1;
                            continue;
                        }
                        Decision::Refuse(why) => say.error(why),
                        Decision::Quit => {
                            say.ok();
                            batch.then = Then::Close;
                        }
                        Decision::Drop => batch.then = Then::Close,
                    }
                }
                ReadOutcome::TooLarge(_) => say.error("ERR the command is too large"),
                _ => batch.then = Then::Read,
            }
            break;
        }
        batch
    }
    // ANCHOR_END: gather
}

// ANCHOR: decide
enum Decision {
    /// It asks for nothing, and gets nothing.
    Nothing,
    Forward,
    Refuse(&'static str),
    Quit,
    /// Close without a word.
    Drop,
}

/// Commands that wait, are answered more than once or not at all, or leave the connection
/// another than it was.
const NOT_SHARED: &[&str] = &[
    "auth",
    "blmove",
    "blmpop",
    "blpop",
    "brpop",
    "brpoplpush",
    "bzmpop",
    "bzpopmax",
    "bzpopmin",
    "client",
    "debug",
    "discard",
    "exec",
    "monitor",
    "multi",
    "psubscribe",
    "psync",
    "punsubscribe",
    "replconf",
    "reset",
    "shutdown",
    "ssubscribe",
    "subscribe",
    "sunsubscribe",
    "sync",
    "unsubscribe",
    "unwatch",
    "wait",
    "watch",
    "xread",
    "xreadgroup",
];

/// What becomes of a command: whatever one client does to the connection, it does to all.
fn decide(args: CommandArgs<'_>) -> Decision {
    if args.is_empty() {
        return Decision::Nothing;
    }
    let name = String::from_utf8_lossy(&args[0]).to_ascii_lowercase();
    match name.as_str() {
        "quit" => Decision::Quit,
        // A browser, whose page wants to send commands.
        "post" | "host:" => Decision::Drop,
        "hello" if args.len() > 1 && &args[1] != b"2" => {
            Decision::Refuse("NOPROTO unsupported protocol version")
        }
        "select" if args.len() == 2 && &args[1] == b"0" => Decision::Forward,
        "select" => Decision::Refuse("ERR DB index is out of range"),
        "hello" if args.len() > 2 => Decision::Refuse(NOT_POSSIBLE),
        _ if NOT_SHARED.binary_search(&name.as_str()).is_ok() => Decision::Refuse(NOT_POSSIBLE),
        _ => Decision::Forward,
    }
}
// ANCHOR_END: decide

const NOT_POSSIBLE: &str = "ERR this command is not possible through a proxy";
