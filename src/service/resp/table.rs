//! The table of commands: for each name its function, its number of arguments, and which of them are keys.
//!
//! A family of commands is a file with a `COMMANDS` slice; the table is made of all of them
//! once, when the first service is made. A lookup folds the name to lower case as it hashes it, then
//! compares: about ten nanoseconds, no allocation. Adding a command means its line in the family's
//! slice, the function, a transcript, and a row in the docs.

use std::ops::Range;
use std::sync::OnceLock;

use super::context::Context;
use crate::protocol::resp::CommandArgs;

/// The command may change the store.
pub(crate) const WRITE: u32 = 1 << 0;
/// The command reads keys and changes nothing.
pub(crate) const READONLY: u32 = 1 << 1;
/// The command may need memory. It is refused when the store is full and doesn't evict.
pub(crate) const DENYOOM: u32 = 1 << 2;
/// Constant or logarithmic time.
pub(crate) const FAST: u32 = 1 << 3;
/// The command administers the server.
pub(crate) const ADMIN: u32 = 1 << 4;
/// Allowed before the password is given.
pub(crate) const NO_AUTH: u32 = 1 << 5;
/// Runs at once inside MULTI, instead of being queued.
pub(crate) const IMMEDIATE: u32 = 1 << 6;
/// Runs while no other command does: it changes keys of more than one shard in one step.
pub(crate) const EXCLUSIVE: u32 = 1 << 7;
/// The command affects other clients or walks over all keys. `@dangerous` in `COMMAND`.
pub(crate) const DANGEROUS: u32 = 1 << 8;

/// Refused inside MULTI.
pub(crate) const NO_MULTI: u32 = 1 << 10;

/// A command about the connection, though its group is another. `@connection` in `COMMAND`.
pub(crate) const CONNECTION: u32 = 1 << 9;

/// One command or subcommand.
pub(crate) struct CommandSpec {
    /// In lower case.
    pub name: &'static str,
    /// Number of arguments, the name (and a container's name) counted; negative for "at least".
    pub arity: i32,
    pub flags: u32,
    /// First key, last key (negative counts from the end), step; zeros for a command without keys.
    pub keys: (i32, i32, i32),
    /// The argument that is received into memory of the store if it is large; 0 for none.
    pub received: usize,
    /// The access to the keys, in the words of Redis's key specifications: one text for all, or one for each.
    pub access: &'static [&'static str],
    /// The group in `COMMAND DOCS`.
    pub group: &'static str,
    /// The first Redis version that has it.
    pub since: &'static str,
    /// The arguments, in the form of Redis's manual.
    pub syntax: &'static str,
    pub summary: &'static str,
    /// Not empty for a container: `CLIENT`, `CONFIG`.
    pub subcommands: &'static [CommandSpec],
    pub run: fn(&mut Context<'_>),
}

impl CommandSpec {
    /// A command without keys and documentation.
    pub(crate) const fn new(
        name: &'static str,
        arity: i32,
        flags: u32,
        run: fn(&mut Context<'_>),
    ) -> CommandSpec {
        CommandSpec {
            name,
            arity,
            flags,
            keys: (0, 0, 0),
            received: 0,
            access: if flags & READONLY != 0 {
                &["RO access"]
            } else {
                &["RW update"]
            },
            group: "",
            since: "",
            syntax: "",
            summary: "",
            subcommands: &[],
            run,
        }
    }

    /// Which arguments are keys.
    pub(crate) const fn keys(mut self, first: i32, last: i32, step: i32) -> CommandSpec {
        self.keys = (first, last, step);
        self
    }

    /// Which argument the command [stores whole](super::context::Context::received) as the value of its key.
    pub(crate) const fn receives(mut self, value: usize) -> CommandSpec {
        self.received = value;
        self
    }

    /// Sets the access to the keys, if it differs from that of most commands that read or write.
    pub(crate) const fn access(mut self, access: &'static [&'static str]) -> CommandSpec {
        self.access = access;
        self
    }

    pub(crate) const fn docs(
        mut self,
        group: &'static str,
        since: &'static str,
        syntax: &'static str,
        summary: &'static str,
    ) -> CommandSpec {
        self.group = group;
        self.since = since;
        self.syntax = syntax;
        self.summary = summary;
        self
    }

    /// Makes it a container of subcommands. Its own function runs only when no subcommand is named.
    pub(crate) const fn subcommands(mut self, subcommands: &'static [CommandSpec]) -> CommandSpec {
        self.subcommands = subcommands;
        self
    }

    /// Whether the command takes this many arguments.
    #[inline]
    pub(crate) fn takes(&self, arguments: usize) -> bool {
        if self.arity >= 0 {
            arguments == self.arity as usize
        } else {
            arguments >= self.arity.unsigned_abs() as usize
        }
    }

    #[inline]
    pub(crate) fn is(&self, flags: u32) -> bool {
        self.flags & flags != 0
    }
}

/// A command in the table.
pub(crate) struct CommandEntry {
    pub command: &'static CommandSpec,
    /// `get`, or `client|id` for a subcommand.
    pub name: String,
    /// Its own position.
    pub number: u16,
    /// Positions of its subcommands.
    pub subcommands: Range<u16>,
}

/// The result of looking up the words of a request.
pub(crate) enum CommandLookup {
    Command(&'static CommandEntry),
    /// No command of this name.
    Unknown,
    /// A container, but no subcommand of this name.
    UnknownSubcommand(&'static CommandEntry),
}

/// Every command, found by name.
pub(crate) struct CommandTable {
    entries: Vec<CommandEntry>,
    /// Positions in `entries`, by hash; [`EMPTY`] for none.
    slots: [u16; SLOTS],
}

/// Far more than there are commands, so that a chain is one or two long.
const SLOTS: usize = 512;
const EMPTY: u16 = u16::MAX;

/// The one table. The service fills it, because the families of commands use this file.
static TABLE: OnceLock<CommandTable> = OnceLock::new();

/// Fills the table, once.
pub(crate) fn fill(families: &[&'static [CommandSpec]]) {
    TABLE.get_or_init(|| CommandTable::build(families));
}

/// The one table.
pub(crate) fn table() -> &'static CommandTable {
    TABLE
        .get()
        .expect("a service fills it before it has sessions")
}

impl CommandTable {
    fn build(families: &[&'static [CommandSpec]]) -> CommandTable {
        let mut table = CommandTable {
            entries: Vec::new(),
            slots: [EMPTY; SLOTS],
        };
        for command in families.iter().copied().flatten() {
            let number = table.entries.len() as u16;
            let first = number + 1;
            table.entries.push(CommandEntry {
                command,
                name: command.name.to_owned(),
                number,
                subcommands: first..first + command.subcommands.len() as u16,
            });
            for (number, subcommand) in (first..).zip(command.subcommands) {
                table.entries.push(CommandEntry {
                    command: subcommand,
                    name: format!("{}|{}", command.name, subcommand.name),
                    number,
                    subcommands: 0..0,
                });
            }
            let mut slot = hash(command.name.as_bytes());
            while table.slots[slot] != EMPTY {
                slot = (slot + 1) % SLOTS;
            }
            table.slots[slot] = number;
        }
        table
    }

    /// The command that `args` name.
    #[inline]
    pub(crate) fn find(&'static self, args: CommandArgs<'_>) -> CommandLookup {
        let Some(entry) = self.command(args.get(0)) else {
            return CommandLookup::Unknown;
        };
        if entry.subcommands.is_empty() || args.len() == 1 {
            return CommandLookup::Command(entry);
        }
        match self.subcommand(entry, args.get(1)) {
            Some(entry) => CommandLookup::Command(entry),
            None => CommandLookup::UnknownSubcommand(entry),
        }
    }

    /// The command of this name, upper or lower case.
    #[inline]
    pub(crate) fn command(&self, name: &[u8]) -> Option<&CommandEntry> {
        let mut slot = hash(name);
        loop {
            let entry = self.entries.get(usize::from(self.slots[slot]))?;
            if entry.command.name.as_bytes().eq_ignore_ascii_case(name) {
                return Some(entry);
            }
            slot = (slot + 1) % SLOTS;
        }
    }

    /// The subcommand of this name.
    pub(crate) fn subcommand(
        &self,
        container: &CommandEntry,
        name: &[u8],
    ) -> Option<&CommandEntry> {
        self.subcommands(container)
            .iter()
            .find(|entry| entry.command.name.as_bytes().eq_ignore_ascii_case(name))
    }

    pub(crate) fn subcommands(&self, container: &CommandEntry) -> &[CommandEntry] {
        let Range { start, end } = container.subcommands.clone();
        &self.entries[usize::from(start)..usize::from(end)]
    }

    /// The entry with this [`CommandEntry::number`].
    pub(crate) fn entry(&self, number: u16) -> Option<&CommandEntry> {
        self.entries.get(usize::from(number))
    }

    /// The entry of a full name, `get` or `client|id`.
    pub(crate) fn by_full_name(&self, name: &[u8]) -> Option<&CommandEntry> {
        match memchr::memchr(b'|', name) {
            None => self.command(name),
            Some(bar) => self.subcommand(self.command(&name[..bar])?, &name[bar + 1..]),
        }
    }

    /// The commands and, each after its container, the subcommands.
    pub(crate) fn all(&self) -> impl Iterator<Item = &CommandEntry> {
        self.entries.iter()
    }

    /// The commands, without subcommands.
    pub(crate) fn commands(&self) -> impl Iterator<Item = &CommandEntry> {
        self.entries
            .iter()
            .filter(|entry| !entry.name.contains('|'))
    }
}

/// The first slot to look at for a name, the same for upper and lower case.
#[inline]
fn hash(name: &[u8]) -> usize {
    let mut hash = name.len() as u32;
    for byte in name.iter().take(16) {
        hash = (hash ^ u32::from(byte | 0x20)).wrapping_mul(0x0100_0193);
    }
    (hash ^ hash >> 15) as usize % SLOTS
}
