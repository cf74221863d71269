//! The command `CLIENT` of Redis's protocol, answered by the proxy: the properties of the client's own connection, and the end of
//! another one.

use crate::protocol::resp::{CommandArgs, Reply, parse_integer};
use crate::proxy::session::Session;
use crate::proxy::shared::Shared;
use crate::server::{Address, Connection};

/// `CLIENT`: sets and returns the properties of a client's connection.
pub(super) fn about_client(
    args: CommandArgs<'_>,
    session: &mut Session,
    connection: &Connection,
    shared: &Shared,
    reply: &mut Reply<'_>,
) {
    match (&args[1].to_ascii_uppercase()[..], args.len()) {
        (b"SETNAME", 3) if args[2].iter().any(|byte| !(b'!'..=b'~').contains(byte)) => {
            reply.error("ERR Client names cannot contain spaces, newlines or special characters.")
        }
        (b"SETNAME", 3) => {
            session.name = args.get(2).into();
            reply.ok();
        }
        // A command of later versions of Redis; clients send their library's name with it.
        (b"SETINFO", 4) | (b"NO-EVICT" | b"NO-TOUCH", 3) => reply.ok(),
        (b"GETNAME", 2) if session.name.is_empty() => reply.null(),
        (b"GETNAME", 2) => reply.bulk(&session.name),
        (b"ID", 2) => reply.integer(connection.id() as i64),
        (b"INFO" | b"LIST", 2) => {
            let asked = String::from_utf8_lossy(args.get(1)).to_ascii_lowercase();
            reply.verbatim("txt", &client_line(&asked, session, connection, shared));
        }
        (b"KILL", 4) if args[2].eq_ignore_ascii_case(b"id") => match parse_integer(args.get(3)) {
            Some(id @ 1..) => {
                let found = shared.connections.get(id.cast_unsigned());
                // As in Redis, a client spares itself.
                let other = found.filter(|other| other.id() != connection.id());
                reply.integer(i64::from(other.is_some()));
                if let Some(other) = other {
                    other.kill();
                }
            }
            _ => reply.error("ERR client-id should be greater than 0"),
        },
        (b"REPLY", 3) if args[2].eq_ignore_ascii_case(b"on") => reply.ok(),
        (sub, _) => {
            let sub = String::from_utf8_lossy(sub);
            reply.error(format!("ERR CLIENT {sub} is not possible through a proxy"));
        }
    }
}

/// The line of the client that asks, with Redis's names in Redis's order. A proxy keeps no books about the buffers of each client,
/// so it leaves out the fields of memory; subscriptions and transactions are at the servers, which list them.
fn client_line(asked: &str, session: &Session, connection: &Connection, shared: &Shared) -> String {
    let is_unix = connection.peer().unix().is_some();
    // Redis writes the address of a Unix socket with a port.
    let written = |address: &Address| match address.unix() {
        Some(path) => format!("{}:0", path.display()),
        None => address.to_string(),
    };
    format!(
        "id={} addr={} laddr={} fd={} name={} age={} idle=0 flags={} db={} cmd=client|{asked} user={} redir=-1 resp={}\n",
        connection.id(),
        written(connection.peer()),
        written(&connection.local()),
        connection.descriptor().unwrap_or(-1),
        String::from_utf8_lossy(&session.name),
        connection.age().as_secs(),
        if is_unix { "U" } else { "N" },
        session.state.database,
        String::from_utf8_lossy(shared.user_name()),
        if session.state.resp3 { 3 } else { 2 },
    )
}
