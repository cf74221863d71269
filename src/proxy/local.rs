//! Commands about the connection between a client and the proxy, answered without asking an
//! upstream: the client's name and login, its database, its version of RESP.
//!
//! The texts are Redis's and memcached's. Answers about the server itself (`COMMAND`, `INFO`,
//! `version`) come from an upstream.

use crate::pool::Pool;
use crate::protocol::framing::reply::{BinaryReply, ReplyShape};
use crate::protocol::framing::request::{ConnectionCommand, MergeRule};
use crate::protocol::memcached::binary::sasl::{self, SaslOutcome};
use crate::protocol::memcached::binary::{self, ReplyTo, Sasl, Status};
use crate::protocol::memcached::text::{self, AdminCommand, Command, Words};
use crate::protocol::resp::{CommandArgs, Reply, parse_integer};
use crate::proxy::client_command::about_client;
use crate::proxy::errors::{self, NOAUTH};
use crate::proxy::session::Session;
use crate::proxy::shared::Shared;
use crate::proxy::stats;
use crate::server::Connection;
use crate::upstream::DATABASES;

/// The treatment of a command.
pub(super) enum LocalAnswer {
    /// The answer is written.
    Answer,
    /// The answer is written, and is given later: a password was wrong.
    Delay,
    /// The answer is written, and is the last.
    Close,
    /// An upstream has the answer.
    Forward(ReplyShape),
    /// Each upstream has a part of the answer.
    Every(MergeRule, ReplyShape),
}

/// Answers memcached's commands about the connection or the proxy.
pub(super) fn memcached(command: Command<'_>, pool: &Pool, out: &mut Vec<u8>) -> LocalAnswer {
    let Command::Admin(command) = command else {
        out.extend_from_slice(b"ERROR\r\n");
        return LocalAnswer::Answer;
    };
    match command {
        AdminCommand::Version => return LocalAnswer::Forward(ReplyShape::Line),
        AdminCommand::Stats { words } => return stats(words, pool, out),
        AdminCommand::Quit => return LocalAnswer::Close,
        AdminCommand::MetaNoop => out.extend_from_slice(b"MN\r\n"),
        AdminCommand::Shutdown => out.extend_from_slice(text::reply::SHUTDOWN_DISABLED),
        _ => out.extend_from_slice(b"ERROR\r\n"),
    }
    LocalAnswer::Answer
}

/// Answers `stats`. Statistics about the internals of one server have no meaning for several.
fn stats(words: Words<'_>, pool: &Pool, out: &mut Vec<u8>) -> LocalAnswer {
    match words.into_iter().next() {
        Some(b"proxy") => {
            out.extend_from_slice(stats::memcached(pool).as_bytes());
            out.extend_from_slice(b"END\r\n");
        }
        None if !pool.is_single() => {
            return LocalAnswer::Every(MergeRule::Stats, ReplyShape::Stats);
        }
        Some(b"reset") if !pool.is_single() => {
            return LocalAnswer::Every(MergeRule::Same, ReplyShape::Stats);
        }
        Some(word) if word != b"settings" && !pool.is_single() => {
            out.extend_from_slice(&errors::only_stats(ReplyShape::Stats, word));
        }
        _ => return LocalAnswer::Forward(ReplyShape::Stats),
    }
    LocalAnswer::Answer
}

/// Answers the commands of memcached's binary protocol about the connection or the proxy, by the rules of the text
/// protocol.
pub(super) fn binary(request: binary::Request<'_>, pool: &Pool, out: &mut Vec<u8>) -> LocalAnswer {
    let to = request.to;
    let shape = ReplyShape::Binary(BinaryReply::unchanged(to));
    match request.command {
        binary::Command::Noop => binary::reply::done(out, to, 0),
        binary::Command::Quit => {
            if !request.quiet {
                binary::reply::done(out, to, 0);
            }
            return LocalAnswer::Close;
        }
        binary::Command::Version => return LocalAnswer::Forward(shape),
        binary::Command::Stat { name: b"proxy" } => {
            binary::reply::stats(out, to, &stats::memcached(pool));
        }
        binary::Command::Stat { name } if !pool.is_single() => {
            if name.is_empty() {
                return LocalAnswer::Every(MergeRule::Stats, shape);
            }
            // As in memcached, the names of these two may have anything behind them.
            if name.starts_with(b"reset") {
                return LocalAnswer::Every(MergeRule::SameFrame, shape);
            }
            if name.starts_with(b"settings") {
                return LocalAnswer::Forward(shape);
            }
            out.extend_from_slice(&errors::only_stats(shape, name));
        }
        binary::Command::Stat { .. } => return LocalAnswer::Forward(shape),
        _ => out.extend_from_slice(&errors::refused(shape)),
    }
    LocalAnswer::Answer
}

/// Answers a command of authentication of memcached's binary protocol.
pub(super) fn sasl(
    to: ReplyTo,
    command: &Sasl<'_>,
    data: &[u8],
    session: &mut Session,
    shared: &Shared,
    out: &mut Vec<u8>,
) -> LocalAnswer {
    let credentials = match session.sasl.step(command, data) {
        SaslOutcome::Mechanisms => {
            binary::reply::error_text(out, to, Status::NoError, sasl::MECHANISMS);
            return LocalAnswer::Answer;
        }
        SaslOutcome::Continue => {
            session.admitted = false;
            binary::reply::error_text(out, to, Status::AuthContinue, "");
            return LocalAnswer::Answer;
        }
        SaslOutcome::Credentials(credentials) => credentials,
    };
    session.admitted = credentials.is_some_and(|(name, password)| shared.is_user(name, password));
    if !session.admitted {
        binary::reply::error(out, to, Status::AuthError);
        return LocalAnswer::Delay;
    }
    session.sasl.accepted();
    binary::reply::error_text(out, to, Status::NoError, sasl::ACCEPTED);
    LocalAnswer::Answer
}

/// Answers Redis's commands about the connection.
pub(super) fn resp(
    command: ConnectionCommand,
    args: CommandArgs<'_>,
    session: &mut Session,
    connection: &Connection,
    shared: &Shared,
    pool: &Pool,
    out: &mut Vec<u8>,
) -> LocalAnswer {
    let free = matches!(
        command,
        ConnectionCommand::Auth
            | ConnectionCommand::Hello
            | ConnectionCommand::Quit
            | ConnectionCommand::Reset
    );
    if !session.admitted && !free {
        out.extend_from_slice(NOAUTH);
        return LocalAnswer::Answer;
    }
    let mut reply = Reply::new(out, session.state.resp3, usize::MAX);
    match command {
        ConnectionCommand::Ping if args.len() == 1 => reply.simple("PONG"),
        ConnectionCommand::Ping if args.len() == 2 => reply.bulk(args.get(1)),
        ConnectionCommand::Quit => {
            reply.ok();
            return LocalAnswer::Close;
        }
        ConnectionCommand::Reset => {
            session.reset(shared.password.is_none());
            reply.simple("RESET");
        }
        ConnectionCommand::Auth => return auth(args, session, shared, &mut reply),
        ConnectionCommand::Hello => return hello(args, session, connection, shared, &mut reply),
        // Clients see one standalone Redis, so commands about a cluster are answered as by one.
        ConnectionCommand::Cluster if pool.is_cluster() => reply.error(NO_CLUSTER),
        // It would let all clients of the connection read from a replica.
        ConnectionCommand::ReadOnly => reply.error(NO_CLUSTER),
        ConnectionCommand::Select if args.len() == 2 => select(args, session, pool, &mut reply),
        ConnectionCommand::Client if args.len() > 1 => {
            about_client(args, session, connection, shared, &mut reply)
        }
        ConnectionCommand::Info if args.len() == 2 && args[1].eq_ignore_ascii_case(b"proxy") => {
            reply.verbatim("txt", &stats::info(pool));
        }
        ConnectionCommand::Info if !pool.is_single() => {
            return LocalAnswer::Every(MergeRule::Info, ReplyShape::Resp);
        }
        ConnectionCommand::WhoAmI if args.len() == 2 => reply.bulk(shared.user_name()),
        _ => return LocalAnswer::Forward(ReplyShape::Resp),
    }
    LocalAnswer::Answer
}

const NO_CLUSTER: &str = "ERR This instance has cluster support disabled";

fn select(args: CommandArgs<'_>, session: &mut Session, pool: &Pool, reply: &mut Reply<'_>) {
    match parse_integer(args.get(1)) {
        None => reply.error("ERR value is not an integer or out of range"),
        Some(1..DATABASES) if pool.is_cluster() => {
            reply.error("ERR SELECT is not allowed in cluster mode");
        }
        Some(number @ 0..DATABASES) => {
            session.state.database = number as u32;
            reply.ok();
        }
        Some(number) if i32::try_from(number).is_err() => {
            reply.error("ERR value is out of range, value must between -2147483648 and 2147483647")
        }
        Some(_) => reply.error("ERR DB index is out of range"),
    }
}

fn auth(
    args: CommandArgs<'_>,
    session: &mut Session,
    shared: &Shared,
    reply: &mut Reply<'_>,
) -> LocalAnswer {
    let (user, password) = match args.len() {
        2 if shared.password.is_none() => {
            return refused(
                reply,
                "ERR AUTH <password> called without any password configured for the default \
                 user. Are you sure your configuration is correct?",
            );
        }
        2 => (&b"default"[..], args.get(1)),
        3 => (args.get(1), args.get(2)),
        _ => return refused(reply, "ERR wrong number of arguments for 'auth' command"),
    };
    if !admit(user, password, session, shared) {
        reply.error(WRONGPASS);
        return LocalAnswer::Delay;
    }
    reply.ok();
    LocalAnswer::Answer
}

const WRONGPASS: &str = "WRONGPASS invalid username-password pair or user is disabled.";

fn admit(user: &[u8], password: &[u8], session: &mut Session, shared: &Shared) -> bool {
    // Clients without user names give the default one in HELLO.
    let named = user == b"default" || user == shared.user_name();
    let right = named && shared.accepts(password);
    session.admitted |= right;
    right
}

/// `HELLO [version [AUTH user password] [SETNAME name]]`.
fn hello(
    args: CommandArgs<'_>,
    session: &mut Session,
    connection: &Connection,
    shared: &Shared,
    reply: &mut Reply<'_>,
) -> LocalAnswer {
    let resp3 = match args.len() {
        0 | 1 => session.state.resp3,
        _ => match parse_integer(args.get(1)) {
            Some(2) => false,
            Some(3) => true,
            Some(_) => return refused(reply, "NOPROTO unsupported protocol version"),
            None => {
                return refused(
                    reply,
                    "ERR Protocol version is not an integer or out of range",
                );
            }
        },
    };
    let (mut at, mut name) = (2, None);
    while at < args.len() {
        let option = args.get(at);
        if option.eq_ignore_ascii_case(b"AUTH") && at + 2 < args.len() {
            if !admit(args.get(at + 1), args.get(at + 2), session, shared) {
                reply.error(WRONGPASS);
                return LocalAnswer::Delay;
            }
            at += 3;
        } else if option.eq_ignore_ascii_case(b"SETNAME") && at + 1 < args.len() {
            name = Some(args.get(at + 1));
            at += 2;
        } else {
            let option = String::from_utf8_lossy(option);
            return refused(
                reply,
                format!("ERR Syntax error in HELLO option '{option}'"),
            );
        }
    }
    if !session.admitted {
        return refused(
            reply,
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
             HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and \
             select the RESP protocol version at the same time",
        );
    }
    if let Some(name) = name {
        session.name = name.into();
    }
    session.state.resp3 = resp3;
    describe_server(resp3, connection, reply);
    LocalAnswer::Answer
}

/// The answer is this error.
fn refused(reply: &mut Reply<'_>, error: impl AsRef<[u8]>) -> LocalAnswer {
    reply.error(error);
    LocalAnswer::Answer
}

/// The answer to `HELLO`.
fn describe_server(resp3: bool, connection: &Connection, reply: &mut Reply<'_>) {
    reply.set_resp3(resp3);
    reply.map(7);
    reply.bulk(b"server");
    reply.bulk(b"redis");
    reply.bulk(b"version");
    reply.bulk(b"7.0.15");
    reply.bulk(b"proto");
    reply.integer(if resp3 { 3 } else { 2 });
    reply.bulk(b"id");
    reply.integer(connection.id() as i64);
    reply.bulk(b"mode");
    reply.bulk(b"standalone");
    reply.bulk(b"role");
    reply.bulk(b"master");
    reply.bulk(b"modules");
    reply.array(0);
}
