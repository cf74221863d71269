//! The routes of Redis's commands, and of their subcommands.

use crate::protocol::framing::request::frame::{ConnectionCommand, DedicatedReason, MergeRule};

/// The route of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CommandRoute {
    /// To the upstream of its keys.
    Forward,
    /// In parts, each to the upstream of its keys.
    Split(MergeRule),
    /// To any upstream.
    Any,
    /// To the only upstream; refused when there are several.
    Only,
    /// To all of them.
    Every(MergeRule),
    /// To one upstream after the other, by a cursor.
    Scan,
    /// By the words behind its name; if they are not in the list, to any upstream, which answers with an error.
    Subcommand(&'static [(&'static str, CommandRoute)]),
    /// The proxy answers: it is about the connection between it and the client.
    State(ConnectionCommand),
    /// Over an upstream connection of the client's own.
    Dedicated(DedicatedReason),
    /// Detached if it has a `BLOCK`, else forwarded.
    MayBlock,
    /// Never: it would change the state of the shared connection.
    Refused,
}

const ANY: CommandRoute = CommandRoute::Any;
const ONLY: CommandRoute = CommandRoute::Only;
const SAME: CommandRoute = CommandRoute::Every(MergeRule::Same);
const SUM: CommandRoute = CommandRoute::Every(MergeRule::Sum);
const CONCAT: CommandRoute = CommandRoute::Every(MergeRule::Concat);
const UNION: CommandRoute = CommandRoute::Every(MergeRule::Union);

pub(super) const ACL: &[(&str, CommandRoute)] = &[
    ("cat", ANY),
    ("deluser", SAME),
    ("dryrun", ANY),
    ("genpass", ANY),
    ("getuser", ANY),
    ("help", ANY),
    ("list", ANY),
    ("load", SAME),
    ("log reset", SAME),
    ("log", CONCAT),
    ("save", SAME),
    ("setuser", SAME),
    ("users", ANY),
    ("whoami", CommandRoute::State(ConnectionCommand::WhoAmI)),
];

pub(super) const CONFIG: &[(&str, CommandRoute)] = &[
    ("get", ANY),
    ("help", ANY),
    ("resetstat", SAME),
    ("rewrite", SAME),
    ("set", SAME),
];

pub(super) const FUNCTION: &[(&str, CommandRoute)] = &[
    ("delete", SAME),
    ("dump", ANY),
    ("flush", SAME),
    ("help", ANY),
    ("kill", CommandRoute::Every(MergeRule::OneSucceeded)),
    ("list", ANY),
    ("load", SAME),
    ("restore", SAME),
    ("stats", ONLY),
];

pub(super) const LATENCY: &[(&str, CommandRoute)] = &[
    ("doctor", ONLY),
    ("graph", ONLY),
    ("help", ANY),
    ("histogram", ONLY),
    ("history", ONLY),
    ("latest", ONLY),
    ("reset", SUM),
];

pub(super) const MEMORY: &[(&str, CommandRoute)] = &[
    ("doctor", ONLY),
    ("help", ANY),
    ("malloc-stats", ONLY),
    ("purge", SAME),
    ("stats", ONLY),
    ("usage", CommandRoute::Forward),
];

pub(super) const MODULE: &[(&str, CommandRoute)] = &[
    ("help", ANY),
    ("list", ANY),
    ("load", SAME),
    ("loadex", SAME),
    ("unload", SAME),
];

pub(super) const PUBSUB: &[(&str, CommandRoute)] = &[
    ("channels", UNION),
    ("help", ANY),
    ("numpat", SUM),
    ("numsub", CommandRoute::Every(MergeRule::PairSums)),
    ("shardchannels", UNION),
    ("shardnumsub", CommandRoute::Every(MergeRule::PairSums)),
];

pub(super) const SCRIPT: &[(&str, CommandRoute)] = &[
    // It changes the behaviour of EVAL on the connection.
    ("debug", CommandRoute::Refused),
    ("exists", CommandRoute::Every(MergeRule::And)),
    ("flush", SAME),
    ("help", ANY),
    ("kill", CommandRoute::Every(MergeRule::OneSucceeded)),
    ("load", SAME),
];

pub(super) const SLOWLOG: &[(&str, CommandRoute)] = &[
    ("get", CONCAT),
    ("help", ANY),
    ("len", SUM),
    ("reset", SAME),
];

pub(super) const CLIENT: &[(&str, CommandRoute)] = &[
    (
        "tracking",
        CommandRoute::Dedicated(DedicatedReason::Tracking),
    ),
    ("", CommandRoute::State(ConnectionCommand::Client)),
];
