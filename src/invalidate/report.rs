//! The meaning of a request for invalidation: the keys that it changes, and its answer.
//!
//! Answers are those of a server after a successful write, because the client reports one: `STORED`, `DELETED`,
//! `+OK`. A command whose answer only a cache has (a list's length, the old value, the result of a condition) is
//! refused and not recorded.

pub(super) mod binary;
mod meta;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::invalidate::change::{NewValue, ReportedChange};
use crate::invalidate::message::unix_micros;
use crate::invalidate::settings::ReadPolicy;
use crate::invalidate::stats::InvalidationStats;
use crate::protocol::framing::reply::ReplyShape;
use crate::protocol::framing::request::{
    ConnectionCommand, LocalCommand, MetaForm, Request, Route,
};
use crate::protocol::memcached::binary::Status;
use crate::protocol::memcached::text::{
    self, AdminCommand, Command, KeyAction, StorageCommand, StoreVerb,
};
use crate::protocol::resp::{CommandArgs, parse_integer};

/// Reads the reports in the requests of a listener.
pub(crate) struct ReportReader {
    pub(crate) reads: ReadPolicy,
    /// The error for a read if reads are refused.
    pub(crate) read_error: &'static str,
    /// A target needs the values of changes.
    pub(crate) wants_values: Arc<AtomicBool>,
    pub(crate) stats: Arc<InvalidationStats>,
}

/// The treatment of a request.
pub(crate) enum ReportMeaning {
    /// Changes were appended; this is the answer when they are recorded, none for `noreply`.
    Changed(Option<Cow<'static, [u8]>>),
    /// Nothing has changed; this is the answer.
    Answer(Cow<'static, [u8]>),
    /// The proxy forwards it, as without a recorder.
    Pass,
}

fn answer(bytes: &'static [u8]) -> ReportMeaning {
    ReportMeaning::Answer(bytes.into())
}

fn changed(reply: &'static [u8]) -> ReportMeaning {
    ReportMeaning::Changed(Some(reply.into()))
}

/// The error for a read without `--reads forward`.
pub(crate) const READS: &str =
    "larder invalidate accepts writes only; start it with --reads forward to read through it";

/// The error for a read with it, on a listener of another protocol than that of all servers.
pub(crate) const NO_SERVERS_TO_READ: &str =
    "larder invalidate has no servers of this protocol to read from; read over the other one";

/// The error for a request over the limit, whose keys are therefore unknown.
pub(crate) fn too_large(memcached: bool) -> &'static [u8] {
    match memcached {
        true => b"SERVER_ERROR object too large for cache\r\n",
        false => b"-ERR a request over 1 MiB is not accepted, and nothing is recorded; report the key with DEL\r\n",
    }
}

impl ReportReader {
    /// The meaning of a request. The keys that it changes are appended to `changes`.
    pub(crate) fn meaning(
        &self,
        request: &Request<'_>,
        database: u32,
        changes: &mut Vec<ReportedChange>,
    ) -> ReportMeaning {
        if request.meta != MetaForm::No {
            return self.meta(request, changes);
        }
        if let Some(command) = request.command() {
            return self.memcached(command, request.bytes, changes);
        }
        if let Some(asked) = request.binary() {
            return self.binary(&asked, request, changes);
        }
        match request.args() {
            Some(args) => self.resp(request, args, database, changes),
            None => ReportMeaning::Pass,
        }
    }

    fn read(&self, shape: ReplyShape) -> ReportMeaning {
        match self.reads {
            ReadPolicy::Refuse => {
                ReportMeaning::Answer(shape.error(Status::NotSupported, self.read_error).into())
            }
            ReadPolicy::Forward => ReportMeaning::Pass,
        }
    }

    fn memcached(
        &self,
        command: Command<'_>,
        bytes: &[u8],
        changes: &mut Vec<ReportedChange>,
    ) -> ReportMeaning {
        match command {
            Command::Store(store) => {
                let value = self.value(&store, bytes);
                let key = store.path.as_bytes().into();
                changes.push(ReportedChange::Key(key, value));
                match store.noreply {
                    true => ReportMeaning::Changed(None),
                    false => changed(b"STORED\r\n"),
                }
            }
            Command::Key(command) => {
                let reply: &'static [u8] = match command.action {
                    KeyAction::Delete => b"DELETED\r\n",
                    KeyAction::Touch(_) => b"TOUCHED\r\n",
                    // The number is the cache's. "No number" is an answer that promises nothing.
                    KeyAction::Increment(_) | KeyAction::Decrement(_) => b"NOT_FOUND\r\n",
                };
                changes.push(ReportedChange::Key(command.path.as_bytes().into(), None));
                ReportMeaning::Changed((!command.noreply).then_some(reply.into()))
            }
            Command::Retrieve(_) => self.read(ReplyShape::Values),
            Command::Admin(command) => self.admin(command, changes),
            // The one changes nothing, and the framer reads the other: see `meta`.
            Command::ReadPath(_) | Command::Meta(_) => answer(b"ERROR\r\n"),
        }
    }

    fn admin(&self, command: AdminCommand<'_>, changes: &mut Vec<ReportedChange>) -> ReportMeaning {
        match command {
            AdminCommand::FlushAll { delay, .. } if delay > 0 => answer(
                b"SERVER_ERROR larder invalidate has no delayed flush_all; nothing is recorded\r\n",
            ),
            AdminCommand::FlushAll { noreply, .. } => {
                changes.push(ReportedChange::All);
                match noreply {
                    true => ReportMeaning::Changed(None),
                    false => changed(b"OK\r\n"),
                }
            }
            AdminCommand::Stats { words } if words.is_empty() || words.eq([&b"invalidate"[..]]) => {
                let mut out = Vec::new();
                self.stats.memcached(unix_micros(), &mut out);
                ReportMeaning::Answer(out.into())
            }
            AdminCommand::Stats { .. } => match self.reads {
                ReadPolicy::Refuse => answer(b"END\r\n"),
                ReadPolicy::Forward => ReportMeaning::Pass,
            },
            AdminCommand::Version => answer(text::reply::VERSION),
            AdminCommand::Verbosity { noreply, .. } => {
                answer(if noreply { b"" } else { b"OK\r\n" })
            }
            AdminCommand::Quit | AdminCommand::MetaNoop | AdminCommand::Shutdown => {
                ReportMeaning::Pass
            }
            // It is about a cache, and larder invalidate is none.
            _ => answer(text::reply::ERROR),
        }
    }

    /// The value of a storage command, if it is whole and a target needs it.
    fn value(&self, store: &StorageCommand<'_>, bytes: &[u8]) -> Option<NewValue> {
        let end = bytes.len().checked_sub(2)?;
        let value = bytes.get(end.checked_sub(store.length)?..end)?;
        self.new_value(store.verb, store.flags, store.exptime.into(), value)
    }

    fn new_value(
        &self,
        verb: StoreVerb,
        flags: u32,
        exptime: i64,
        bytes: &[u8],
    ) -> Option<NewValue> {
        let whole = !matches!(verb, StoreVerb::Append | StoreVerb::Prepend);
        if !whole || !self.wants_values.load(Relaxed) {
            return None;
        }
        let expires = match exptime {
            0 => 0,
            ..0 => -1,
            // Over 30 days it is a date.
            date if date > 30 * 24 * 3600 => date * 1000,
            left => now_ms() + left * 1000,
        };
        Some(NewValue {
            flags,
            expires,
            bytes: bytes.into(),
        })
    }

    fn resp(
        &self,
        request: &Request<'_>,
        args: CommandArgs<'_>,
        database: u32,
        changes: &mut Vec<ReportedChange>,
    ) -> ReportMeaning {
        if let Route::Local(LocalCommand::Resp(command, _)) = request.route {
            let own = args.len() == 2 && args[1].eq_ignore_ascii_case(b"invalidate")
                || args.len() == 1 && self.reads == ReadPolicy::Refuse;
            if command == ConnectionCommand::Info && own {
                let text = self.stats.info(unix_micros());
                return ReportMeaning::Answer(
                    format!("${}\r\n{text}\r\n", text.len()).into_bytes().into(),
                );
            }
            return ReportMeaning::Pass;
        }
        if request.repeat_safe {
            return self.read(request.shape);
        }
        let before = changes.len();
        let meaning = self.write(args, database, changes);
        if !matches!(meaning, ReportMeaning::Changed(_)) {
            changes.truncate(before);
        }
        meaning
    }

    fn write(
        &self,
        args: CommandArgs<'_>,
        database: u32,
        changes: &mut Vec<ReportedChange>,
    ) -> ReportMeaning {
        let name = args[0].to_ascii_uppercase();
        let flush = matches!(&name[..], b"FLUSHDB" | b"FLUSHALL");
        if database != 0 && !flush {
            return answer(
                b"-ERR larder invalidate accepts keys of database 0 only; nothing is recorded\r\n",
            );
        }
        let key = |at: usize| args.get(at).into();
        match (&name[..], args.len()) {
            (b"DEL" | b"UNLINK", 2..) => {
                changes.extend((1..args.len()).map(|at| ReportedChange::Key(key(at), None)));
                ReportMeaning::Changed(Some(format!(":{}\r\n", args.len() - 1).into_bytes().into()))
            }
            (b"SET", 3..) => match self.set_options(args) {
                Ok(expires) => {
                    changes.push(ReportedChange::Key(
                        key(1),
                        self.resp_value(args.get(2), expires),
                    ));
                    changed(b"+OK\r\n")
                }
                Err(refusal) => refusal,
            },
            (b"SETEX" | b"PSETEX", 4) => self.set_expiring(args, name[0] == b'P', changes),
            (b"MSET", 3..) if args.len() % 2 == 1 => {
                let keys = (1..args.len()).step_by(2);
                changes.extend(keys.map(|at| {
                    ReportedChange::Key(key(at), self.resp_value(args.get(at + 1), Some(0)))
                }));
                changed(b"+OK\r\n")
            }
            (b"EXPIRE" | b"PEXPIRE" | b"EXPIREAT" | b"PEXPIREAT", 3..) => expire(args, changes),
            (b"PERSIST", 2) => {
                changes.push(ReportedChange::Key(key(1), None));
                changed(b":1\r\n")
            }
            (b"FLUSHDB" | b"FLUSHALL", 1 | 2) => {
                changes.push(ReportedChange::All);
                changed(b"+OK\r\n")
            }
            (
                b"DEL" | b"UNLINK" | b"SET" | b"SETEX" | b"PSETEX" | b"MSET" | b"PERSIST"
                | b"EXPIRE" | b"PEXPIRE" | b"EXPIREAT" | b"PEXPIREAT" | b"FLUSHDB" | b"FLUSHALL",
                _,
            ) => wrong_arguments(&name),
            _ => refused(&name),
        }
    }

    /// `SETEX`, or `PSETEX` with milliseconds.
    fn set_expiring(
        &self,
        args: CommandArgs<'_>,
        milliseconds: bool,
        changes: &mut Vec<ReportedChange>,
    ) -> ReportMeaning {
        let unit = if milliseconds { 1 } else { 1000 };
        let Some(expires) = expiry(args.get(2), unit, false) else {
            return answer(b"-ERR invalid expire time\r\n");
        };
        let value = self.resp_value(args.get(3), Some(expires));
        changes.push(ReportedChange::Key(args.get(1).into(), value));
        changed(b"+OK\r\n")
    }

    /// The expiry that `SET` sets, `None` if it keeps the old one; or the error for the client.
    fn set_options(&self, args: CommandArgs<'_>) -> Result<Option<i64>, ReportMeaning> {
        let mut expires = Some(0);
        let mut at = 3;
        while at < args.len() {
            let option = args.get(at).to_ascii_uppercase();
            let (unit, date) = match &option[..] {
                b"KEEPTTL" => {
                    expires = None;
                    at += 1;
                    continue;
                }
                b"EX" => (1000, false),
                b"PX" => (1, false),
                b"EXAT" => (1000, true),
                b"PXAT" => (1, true),
                b"NX" | b"XX" | b"GET" => {
                    return Err(answer(
                        b"-ERR larder invalidate has no values, so SET with NX, XX or GET can't be answered; nothing is recorded\r\n",
                    ));
                }
                _ => return Err(answer(b"-ERR syntax error\r\n")),
            };
            if at + 1 == args.len() {
                return Err(answer(b"-ERR syntax error\r\n"));
            }
            expires = expiry(args.get(at + 1), unit, date);
            if expires.is_none() {
                return Err(answer(b"-ERR invalid expire time in 'set' command\r\n"));
            }
            at += 2;
        }
        Ok(expires)
    }

    /// A value, if a target needs it. Without a known expiry there is no value to write.
    fn resp_value(&self, bytes: &[u8], expires: Option<i64>) -> Option<NewValue> {
        let expires = expires.filter(|_| self.wants_values.load(Relaxed))?;
        Some(NewValue {
            flags: 0,
            expires,
            bytes: bytes.into(),
        })
    }
}

/// `EXPIRE`, `PEXPIRE`, `EXPIREAT` and `PEXPIREAT`.
fn expire(args: CommandArgs<'_>, changes: &mut Vec<ReportedChange>) -> ReportMeaning {
    if args.len() > 3 {
        return answer(
            b"-ERR larder invalidate has no values, so EXPIRE with NX, XX, GT or LT can't be answered; nothing is recorded\r\n",
        );
    }
    if parse_integer(args.get(2)).is_none() {
        return answer(b"-ERR value is not an integer or out of range\r\n");
    }
    changes.push(ReportedChange::Key(args.get(1).into(), None));
    changed(b":1\r\n")
}

fn wrong_arguments(name: &[u8]) -> ReportMeaning {
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    let text = format!("-ERR wrong number of arguments for '{name}' command\r\n");
    ReportMeaning::Answer(text.into_bytes().into())
}

/// Unix milliseconds of a time that is given in a unit of milliseconds, as a date or from now.
fn expiry(text: &[u8], unit: i64, date: bool) -> Option<i64> {
    let number = parse_integer(text).filter(|number| *number > 0)?;
    let millis = number.checked_mul(unit)?;
    match date {
        true => Some(millis),
        false => millis.checked_add(now_ms()),
    }
}

fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_millis() as i64)
}

fn refused(name: &[u8]) -> ReportMeaning {
    let name = String::from_utf8_lossy(&name[..name.len().min(64)]).into_owned();
    let name = name.escape_default();
    let text = format!(
        "-ERR larder invalidate accepts DEL, UNLINK, SET, SETEX, PSETEX, MSET, (P)EXPIRE(AT), PERSIST, FLUSHDB and \
         FLUSHALL as reports that keys have changed, not {name}; nothing is recorded\r\n"
    );
    ReportMeaning::Answer(text.into_bytes().into())
}
