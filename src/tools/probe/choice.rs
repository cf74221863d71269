//! The choice of transcripts: by suite, stage and name, or by the server's protocol.

use super::arguments::Args;
use super::server::Probe;
use super::suite::Suite;
use crate::tools::transcript::{Protocol, Transcript};

/// The output of `--list`.
pub(super) fn for_list<'t>(
    arguments: &Args,
    all: &'t [Transcript],
) -> Result<Vec<&'t Transcript>, String> {
    choose(arguments, all, |suite| {
        arguments.suite.is_none_or(|wanted| wanted == suite)
    })
}

/// The transcripts to check: those named, or those of the suite, or those of the protocol that the
/// server speaks.
pub(super) fn for_server<'t>(
    arguments: &Args,
    all: &'t [Transcript],
    probe: &mut Probe,
) -> Result<Vec<&'t Transcript>, String> {
    if arguments.suite.is_some() || !arguments.only.is_empty() {
        let chosen = for_list(arguments, all)?;
        probe.over_udp = chosen.iter().any(|transcript| transcript.over_udp);
        if probe.over_udp && !chosen.iter().all(|transcript| transcript.over_udp) {
            return Err(
                "transcripts over UDP and others need different ports; give --suite".into(),
            );
        }
        probe.reachable()?;
        return Ok(chosen);
    }
    let protocol = probe.protocol()?;
    choose(arguments, all, |suite| match arguments.stage {
        // A chapter's part has all protocols of its server, nested keys too.
        Some(_) => suite.protocol() == protocol && suite != Suite::Udp,
        None => suite == standard(protocol),
    })
}

/// The suite that every server of a protocol has to pass.
fn standard(protocol: Protocol) -> Suite {
    match protocol {
        Protocol::Echo => Suite::Echo,
        Protocol::Memcached => Suite::Memcached,
        Protocol::Resp => Suite::Resp,
    }
}

fn choose<'t>(
    arguments: &Args,
    all: &'t [Transcript],
    wanted: impl Fn(Suite) -> bool,
) -> Result<Vec<&'t Transcript>, String> {
    for name in &arguments.only {
        if !all.iter().any(|transcript| is_meant(name, transcript, all)) {
            return Err(format!(
                "there is no transcript {name}; `larder probe --list` lists all"
            ));
        }
    }
    let named = |transcript: &Transcript| {
        let only = &arguments.only;
        only.is_empty() || only.iter().any(|name| is_meant(name, transcript, all))
    };
    let by_stage = |stage: u32| arguments.stage.is_none_or(|most| stage <= most);
    // The programs of the early stages do less than a whole server, and transcripts of theirs alone
    // are only for them.
    let by_chapter = arguments.stage.is_some() || !arguments.only.is_empty();
    let meant = |transcript: &&Transcript| {
        wanted(Suite::of(transcript))
            && by_stage(transcript.stage)
            && named(transcript)
            && (by_chapter || arguments.list || !transcript.name.starts_with("stages/"))
    };
    let chosen: Vec<&Transcript> = all.iter().filter(meant).collect();
    if chosen.is_empty() {
        return Err("no transcript matches; `larder probe --list` lists all".into());
    }
    Ok(chosen)
}

/// Whether `name` means this transcript: it is its name, or the beginning of it if no other has
/// that name.
fn is_meant(name: &str, transcript: &Transcript, all: &[Transcript]) -> bool {
    if all.iter().any(|other| other.name == name) {
        transcript.name == name
    } else {
        transcript.name.starts_with(name)
    }
}
