//! The commands, keys and channels that a user may use: Redis calls this a selector.

use std::collections::BTreeMap;

/// Commands and subcommands, by their numbers in the table: a bit each.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct CommandSet([u64; CommandSet::WORDS]);

impl CommandSet {
    /// The table has room for as many commands.
    const WORDS: usize = 8;

    pub(crate) const NONE: CommandSet = CommandSet([0; CommandSet::WORDS]);
    pub(crate) const ALL: CommandSet = CommandSet([u64::MAX; CommandSet::WORDS]);

    #[inline]
    pub(crate) fn has(&self, number: u16) -> bool {
        let number = usize::from(number);
        self.0[number / 64] & 1 << (number % 64) != 0
    }

    pub(crate) fn set(&mut self, number: u16, allowed: bool) {
        let (word, bit) = (usize::from(number) / 64, 1 << (number % 64));
        if allowed {
            self.0[word] |= bit;
        } else {
            self.0[word] &= !bit;
        }
    }

    /// Whether the set began with all commands. Then it has the commands of later versions, too: the last bit stands for
    /// them, and no command has its number.
    pub(crate) fn has_future_commands(&self) -> bool {
        self.has((CommandSet::WORDS * 64 - 1) as u16)
    }
}

/// A pattern of keys, and the access to them.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct KeyPattern {
    pub(crate) pattern: Box<[u8]>,
    pub(crate) read: bool,
    pub(crate) write: bool,
}

/// The commands, keys and channels that a user may use.
#[derive(Clone)]
pub(crate) struct Permissions {
    /// Every command, now and later.
    pub(crate) all_commands: bool,
    pub(crate) commands: CommandSet,
    /// First arguments with which a command is allowed that is not in the set.
    pub(crate) first_arguments: BTreeMap<u16, Vec<Box<[u8]>>>,
    /// Rules about commands of Redis that larder doesn't have, by their names: whether they are allowed. They change
    /// nothing here, but a file that was written for Redis has them.
    pub(crate) absent_commands: Vec<(Box<[u8]>, bool)>,
    pub(crate) all_keys: bool,
    pub(crate) keys: Vec<KeyPattern>,
    pub(crate) all_channels: bool,
    pub(crate) channels: Vec<Box<[u8]>>,
}

impl Permissions {
    pub(crate) fn none() -> Permissions {
        Permissions {
            all_commands: false,
            commands: CommandSet::NONE,
            first_arguments: BTreeMap::new(),
            absent_commands: Vec::new(),
            all_keys: false,
            keys: Vec::new(),
            all_channels: false,
            channels: Vec::new(),
        }
    }

    pub(crate) fn all() -> Permissions {
        Permissions {
            all_commands: true,
            commands: CommandSet::ALL,
            all_keys: true,
            all_channels: true,
            ..Permissions::none()
        }
    }

    /// Whether a command is allowed, whose first argument behind its name this is.
    pub(crate) fn allows_command(&self, number: u16, first: Option<&[u8]>) -> bool {
        if self.all_commands || self.commands.has(number) {
            return true;
        }
        let (Some(allowed), Some(first)) = (self.first_arguments.get(&number), first) else {
            return false;
        };
        allowed.iter().any(|one| one.eq_ignore_ascii_case(first))
    }
}
