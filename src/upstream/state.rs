//! The state of a RESP connection that commands change and that others on the same connection would notice.

use crate::protocol::resp::{CommandArgs, parse_integer};

/// The databases that a client can choose from, as many as Redis has by default. Each takes connections of its own, so
/// there are no more even where an upstream has more.
pub(crate) const DATABASES: i64 = 16;

/// What a client has made of its connection, which an upstream connection that serves it must be as
/// well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct ConnectionState {
    /// The database that `SELECT` chose.
    pub(crate) database: u32,
    /// Whether `HELLO` chose RESP3.
    pub(crate) resp3: bool,
}

impl ConnectionState {
    /// Becomes what a command that an upstream executes makes of the connection.
    pub(crate) fn follow(&mut self, args: CommandArgs<'_>) {
        match &args[0].to_ascii_uppercase()[..] {
            b"SELECT" if args.len() == 2 => {
                if let Some(number @ 0..DATABASES) = parse_integer(args.get(1)) {
                    self.database = number as u32;
                }
            }
            b"HELLO" if args.len() > 1 => self.resp3 = &args[1] == b"3",
            _ => {}
        }
    }
}
