//! The commands that statistics tell apart: each name of each of memcached's protocols.
//!
//! A command is recognised by what the parser made of it, in a few instructions. So `deln` counts as `delete`, and a quiet
//! request of the binary protocol as the one that is answered.

use crate::protocol::memcached::binary;
use crate::protocol::memcached::text::{
    AdminCommand, Command, KeyAction, MetaVerb, PathRead, Retrieve, StoreVerb,
};

/// Makes the commands, with their protocols and names.
macro_rules! commands {
    ($($variant:ident: $protocol:literal $name:literal,)*) => {
        /// A command as statistics count it. Its number is its position in [`COMMANDS`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub(super) enum CountedCommand {
            $($variant,)*
        }

        /// The protocol and the name of each.
        pub(super) const COMMANDS: [(&str, &str); [$($name,)*].len()] = [$(($protocol, $name),)*];
    };
}

commands! {
    Get: "text" "get",
    Gets: "text" "gets",
    Gat: "text" "gat",
    Gats: "text" "gats",
    Getn: "text" "getn",
    Getns: "text" "getns",
    Getch: "text" "getch",
    Set: "text" "set",
    Add: "text" "add",
    Replace: "text" "replace",
    Append: "text" "append",
    Prepend: "text" "prepend",
    Cas: "text" "cas",
    Delete: "text" "delete",
    Incr: "text" "incr",
    Decr: "text" "decr",
    Touch: "text" "touch",
    FlushAll: "text" "flush_all",
    Stats: "text" "stats",
    Watch: "text" "watch",
    LruCrawler: "text" "lru_crawler",
    CacheMemlimit: "text" "cache_memlimit",
    RefreshCerts: "text" "refresh_certs",
    Version: "text" "version",
    Verbosity: "text" "verbosity",
    Quit: "text" "quit",
    Shutdown: "text" "shutdown",
    MetaGet: "meta" "mg",
    MetaSet: "meta" "ms",
    MetaDelete: "meta" "md",
    MetaArithmetic: "meta" "ma",
    MetaDebug: "meta" "me",
    MetaNoop: "meta" "mn",
    BinaryGet: "binary" "get",
    BinaryGat: "binary" "gat",
    BinarySet: "binary" "set",
    BinaryAdd: "binary" "add",
    BinaryReplace: "binary" "replace",
    BinaryAppend: "binary" "append",
    BinaryPrepend: "binary" "prepend",
    BinaryDelete: "binary" "delete",
    BinaryIncrement: "binary" "increment",
    BinaryDecrement: "binary" "decrement",
    BinaryTouch: "binary" "touch",
    BinaryFlush: "binary" "flush",
    BinaryNoop: "binary" "noop",
    BinaryVersion: "binary" "version",
    BinaryStat: "binary" "stat",
    BinaryQuit: "binary" "quit",
    BinarySasl: "binary" "sasl",
}

impl CountedCommand {
    /// A command of the text protocol, classic or meta.
    #[inline]
    pub(super) fn of_text(command: &Command<'_>) -> CountedCommand {
        match command {
            Command::Retrieve(read) => of_retrieval(read),
            Command::ReadPath(read) => match read.read {
                PathRead::Item { cas: false } => CountedCommand::Getn,
                PathRead::Item { cas: true } => CountedCommand::Getns,
                PathRead::Children => CountedCommand::Getch,
            },
            Command::Store(store) => of_storage(store.verb),
            Command::Key(change) => match change.action {
                KeyAction::Increment(_) => CountedCommand::Incr,
                KeyAction::Decrement(_) => CountedCommand::Decr,
                KeyAction::Touch(_) => CountedCommand::Touch,
                KeyAction::Delete => CountedCommand::Delete,
            },
            Command::Meta(meta) => match meta.verb {
                MetaVerb::Get => CountedCommand::MetaGet,
                MetaVerb::Set { .. } => CountedCommand::MetaSet,
                MetaVerb::Delete => CountedCommand::MetaDelete,
                MetaVerb::Arithmetic => CountedCommand::MetaArithmetic,
                MetaVerb::Debug => CountedCommand::MetaDebug,
            },
            Command::Admin(command) => of_admin(command),
        }
    }

    /// A request of the binary protocol.
    #[inline]
    pub(super) fn of_binary(command: &binary::Command<'_>) -> CountedCommand {
        match command {
            binary::Command::Retrieve { exptime: None, .. } => CountedCommand::BinaryGet,
            binary::Command::Retrieve { .. } => CountedCommand::BinaryGat,
            binary::Command::Store(store) => match store.verb {
                // A cas is a set with a cas unique.
                StoreVerb::Set | StoreVerb::Cas => CountedCommand::BinarySet,
                StoreVerb::Add => CountedCommand::BinaryAdd,
                StoreVerb::Replace => CountedCommand::BinaryReplace,
                StoreVerb::Append => CountedCommand::BinaryAppend,
                StoreVerb::Prepend => CountedCommand::BinaryPrepend,
            },
            binary::Command::Delete { .. } => CountedCommand::BinaryDelete,
            binary::Command::Count(count) if count.down => CountedCommand::BinaryDecrement,
            binary::Command::Count(_) => CountedCommand::BinaryIncrement,
            binary::Command::Touch { .. } => CountedCommand::BinaryTouch,
            binary::Command::Flush { .. } => CountedCommand::BinaryFlush,
            binary::Command::Noop => CountedCommand::BinaryNoop,
            binary::Command::Version => CountedCommand::BinaryVersion,
            binary::Command::Stat { .. } => CountedCommand::BinaryStat,
            binary::Command::Quit => CountedCommand::BinaryQuit,
            binary::Command::Sasl(_) => CountedCommand::BinarySasl,
        }
    }
}

fn of_retrieval(read: &Retrieve<'_>) -> CountedCommand {
    match (read.exptime.is_some(), read.cas) {
        (false, false) => CountedCommand::Get,
        (false, true) => CountedCommand::Gets,
        (true, false) => CountedCommand::Gat,
        (true, true) => CountedCommand::Gats,
    }
}

fn of_storage(verb: StoreVerb) -> CountedCommand {
    match verb {
        StoreVerb::Set => CountedCommand::Set,
        StoreVerb::Add => CountedCommand::Add,
        StoreVerb::Replace => CountedCommand::Replace,
        StoreVerb::Append => CountedCommand::Append,
        StoreVerb::Prepend => CountedCommand::Prepend,
        StoreVerb::Cas => CountedCommand::Cas,
    }
}

fn of_admin(command: &AdminCommand<'_>) -> CountedCommand {
    match command {
        AdminCommand::FlushAll { .. } => CountedCommand::FlushAll,
        AdminCommand::Verbosity { .. } => CountedCommand::Verbosity,
        AdminCommand::Stats { .. } => CountedCommand::Stats,
        AdminCommand::Watch { .. } => CountedCommand::Watch,
        AdminCommand::LruCrawler { .. } => CountedCommand::LruCrawler,
        AdminCommand::CacheMemlimit { .. } => CountedCommand::CacheMemlimit,
        AdminCommand::RefreshCerts { .. } => CountedCommand::RefreshCerts,
        AdminCommand::Version => CountedCommand::Version,
        AdminCommand::Quit => CountedCommand::Quit,
        AdminCommand::MetaNoop => CountedCommand::MetaNoop,
        AdminCommand::Shutdown => CountedCommand::Shutdown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::memcached::text::{Nesting, Parsed, parse, verb_names};

    /// The words that make a line of each verb valid.
    const WORDS: [&str; 6] = ["", " k", " k 1", " 1 k", " k 1 1 1", " k 1 1 1 1"];

    #[test]
    fn every_verb_of_the_grammar_is_counted_under_its_name() {
        for verb in verb_names() {
            let named = WORDS.iter().find_map(|words| {
                let line = format!("{verb}{words}\r\n");
                match parse(line.as_bytes(), 0, Nesting::On) {
                    Parsed::Done { command, .. } => Some(CountedCommand::of_text(&command)),
                    _ => None,
                }
            });
            let named = named.unwrap_or_else(|| panic!("no line of {verb} is valid"));
            let (protocol, name) = COMMANDS[named as usize];
            let expected = if verb == "deln" { "delete" } else { verb };
            assert_eq!(name, expected);
            let is_meta = verb.len() == 2;
            assert_eq!(protocol, if is_meta { "meta" } else { "text" }, "{verb}");
        }
    }

    #[test]
    fn no_command_is_there_twice() {
        let mut all = COMMANDS.to_vec();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), COMMANDS.len());
    }
}
