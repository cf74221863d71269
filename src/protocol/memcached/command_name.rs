//! The names of commands, for statistics: those of the text protocol, of the meta commands and of the binary protocol.
//!
//! The name follows from the parsed command, in a few instructions. So `deln` counts as `delete`, and a quiet request of the
//! binary protocol counts as the one that is answered.

use crate::protocol::memcached::binary;
use crate::protocol::memcached::text::{
    AdminCommand, Command, KeyAction, MetaVerb, PathRead, Retrieve, StoreVerb,
};

/// Makes the commands, with their protocols and names.
macro_rules! commands {
    ($($variant:ident: $protocol:literal $name:literal,)*) => {
        /// A command of a protocol. Its number is its position in [`COMMANDS`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub(crate) enum CommandName {
            $($variant,)*
        }

        /// The protocol and the name of each command.
        pub(crate) const COMMANDS: [(&str, &str); [$($name,)*].len()] = [$(($protocol, $name),)*];
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

impl CommandName {
    /// A command of the text protocol, classic or meta.
    #[inline]
    pub(crate) fn of_text(command: &Command<'_>) -> CommandName {
        match command {
            Command::Retrieve(read) => of_retrieval(read),
            Command::ReadPath(read) => match read.read {
                PathRead::Item { cas: false } => CommandName::Getn,
                PathRead::Item { cas: true } => CommandName::Getns,
                PathRead::Children => CommandName::Getch,
            },
            Command::Store(store) => of_storage(store.verb),
            Command::Key(change) => match change.action {
                KeyAction::Increment(_) => CommandName::Incr,
                KeyAction::Decrement(_) => CommandName::Decr,
                KeyAction::Touch(_) => CommandName::Touch,
                KeyAction::Delete => CommandName::Delete,
            },
            Command::Meta(meta) => match meta.verb {
                MetaVerb::Get => CommandName::MetaGet,
                MetaVerb::Set { .. } => CommandName::MetaSet,
                MetaVerb::Delete => CommandName::MetaDelete,
                MetaVerb::Arithmetic => CommandName::MetaArithmetic,
                MetaVerb::Debug => CommandName::MetaDebug,
            },
            Command::Admin(command) => of_admin(command),
        }
    }

    /// A request of the binary protocol.
    #[inline]
    pub(crate) fn of_binary(command: &binary::Command<'_>) -> CommandName {
        match command {
            binary::Command::Retrieve { exptime: None, .. } => CommandName::BinaryGet,
            binary::Command::Retrieve { .. } => CommandName::BinaryGat,
            binary::Command::Store(store) => match store.verb {
                // A cas is a set with a cas unique.
                StoreVerb::Set | StoreVerb::Cas => CommandName::BinarySet,
                StoreVerb::Add => CommandName::BinaryAdd,
                StoreVerb::Replace => CommandName::BinaryReplace,
                StoreVerb::Append => CommandName::BinaryAppend,
                StoreVerb::Prepend => CommandName::BinaryPrepend,
            },
            binary::Command::Delete { .. } => CommandName::BinaryDelete,
            binary::Command::Count(count) if count.down => CommandName::BinaryDecrement,
            binary::Command::Count(_) => CommandName::BinaryIncrement,
            binary::Command::Touch { .. } => CommandName::BinaryTouch,
            binary::Command::Flush { .. } => CommandName::BinaryFlush,
            binary::Command::Noop => CommandName::BinaryNoop,
            binary::Command::Version => CommandName::BinaryVersion,
            binary::Command::Stat { .. } => CommandName::BinaryStat,
            binary::Command::Quit => CommandName::BinaryQuit,
            binary::Command::Sasl(_) => CommandName::BinarySasl,
        }
    }
}

fn of_retrieval(read: &Retrieve<'_>) -> CommandName {
    match (read.exptime.is_some(), read.cas) {
        (false, false) => CommandName::Get,
        (false, true) => CommandName::Gets,
        (true, false) => CommandName::Gat,
        (true, true) => CommandName::Gats,
    }
}

fn of_storage(verb: StoreVerb) -> CommandName {
    match verb {
        StoreVerb::Set => CommandName::Set,
        StoreVerb::Add => CommandName::Add,
        StoreVerb::Replace => CommandName::Replace,
        StoreVerb::Append => CommandName::Append,
        StoreVerb::Prepend => CommandName::Prepend,
        StoreVerb::Cas => CommandName::Cas,
    }
}

fn of_admin(command: &AdminCommand<'_>) -> CommandName {
    match command {
        AdminCommand::FlushAll { .. } => CommandName::FlushAll,
        AdminCommand::Verbosity { .. } => CommandName::Verbosity,
        AdminCommand::Stats { .. } => CommandName::Stats,
        AdminCommand::Watch { .. } => CommandName::Watch,
        AdminCommand::LruCrawler { .. } => CommandName::LruCrawler,
        AdminCommand::CacheMemlimit { .. } => CommandName::CacheMemlimit,
        AdminCommand::RefreshCerts { .. } => CommandName::RefreshCerts,
        AdminCommand::Version => CommandName::Version,
        AdminCommand::Quit => CommandName::Quit,
        AdminCommand::MetaNoop => CommandName::MetaNoop,
        AdminCommand::Shutdown => CommandName::Shutdown,
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
                    Parsed::Done { command, .. } => Some(CommandName::of_text(&command)),
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
