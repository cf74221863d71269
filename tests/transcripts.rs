//! Every transcript in `tests/transcripts`, against larder and against the real servers it claims
//! to agree with.
//!
//! Each file is several cases, so that the output names the claim that fails:
//!
//! ```text
//! memcached/add: in process       the service, in every delivery and cut everywhere
//! memcached/add: turns, threads   the server: as written, byte by byte, in one write
//! memcached/add: memcached 1.6    the real server, over a socket
//! memcached/add: memcached 1.6.45 the newest one, if LARDER_MEMCACHED is the path of its program
//! ```
//!
//! `cargo test --test transcripts memcached/add` runs one file, `… resp/` a folder, `… 'in
//! process'` one kind.

mod support;

use std::path::Path;
use std::time::Duration;

use larder::server::Model;
use larder::tools::transcript::{
    Agrees, InProcess, Outcome, RealTime, Remote, Run, Side, Transcript, TranscriptDelivery,
    in_time, parse,
};
use libtest_mimic::{Arguments, Failed, Trial};
use support::{Kind, Peer};
use tempfile::NamedTempFile;

/// The longest wait for a reply over a socket.
const PATIENCE: Duration = Duration::from_secs(60);

/// The longest advance of the clock that is waited for in real time.
const WAIT: Duration = Duration::from_secs(2);

/// The deliveries over sockets. Cutting everywhere is done in process, where it costs no system
/// calls.
const OVER_SOCKETS: [TranscriptDelivery; 3] = [
    TranscriptDelivery::AsWritten,
    TranscriptDelivery::ByteByByte,
    TranscriptDelivery::InOneWrite,
];

fn main() {
    let arguments = Arguments::from_args();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut trials = Vec::new();
    for file in support::files(&root) {
        let name = support::name(&root, &file);
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| error.to_string());
        let shown = format!("tests/transcripts/{name}.txt");
        match parse(&name, &shown, &text) {
            Ok(transcript) => trials.extend(cases(transcript)),
            Err(error) => {
                let failed = move || Err(Failed::from(error.to_string()));
                trials.push(Trial::test(format!("{name}: can be read"), failed));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn cases(transcript: Transcript) -> Vec<Trial> {
    let mut trials = Vec::new();
    let mut case = |what: &str, test: fn(&Transcript) -> Result<(), Failed>| {
        let name = format!("{}: {what}", transcript.name);
        let transcript = transcript.clone();
        trials.push(Trial::test(name, move || test(&transcript)));
    };
    // The stages of the book are separate programs, and the book's tests run their transcripts.
    if !transcript.name.starts_with("stages/") {
        if !transcript.over_udp {
            case("in process", in_process);
        }
        case("turns", |transcript| served(transcript, Model::Turns));
        case("threads", |transcript| served(transcript, Model::Threads));
    }
    let peer = transcript.agrees.to_string();
    let new_memcached = |transcript: &Transcript| against_peer(transcript, Kind::NewMemcached);
    match transcript.agrees {
        Agrees::Memcached16 | Agrees::Memcached1618 => {
            case(&peer, |transcript| {
                against_peer(transcript, Kind::Memcached)
            });
            let both = transcript.agrees == Agrees::Memcached16;
            if both && support::new_memcached().is_some() {
                case("memcached 1.6.45", new_memcached);
            }
        }
        Agrees::Memcached1645 => case(&peer, new_memcached),
        Agrees::Redis70 => case(&peer, |transcript| against_peer(transcript, Kind::Redis)),
        Agrees::LarderOnly(_) => {}
    }
    trials
}

/// larder's service without sockets, each time a new one.
fn in_process(transcript: &Transcript) -> Result<(), Failed> {
    let mut tried = Err(String::new());
    for delivery in OVER_SOCKETS
        .into_iter()
        .chain(TranscriptDelivery::cuts(transcript.longest()))
    {
        let larder = support::larder::larder(transcript)?;
        let target = InProcess::new(larder.service, &larder.clock);
        let run = Run {
            transcript,
            side: Side::Larder,
            delivery,
            patience: Duration::ZERO,
        };
        note(run.against(&target), &mut tried)?;
    }
    Ok(tried?)
}

/// larder's server behind a socket, each time a new one.
fn served(transcript: &Transcript, model: Model) -> Result<(), Failed> {
    let mut tried = Err(String::new());
    for delivery in OVER_SOCKETS {
        let server = support::larder::serve(transcript, model)?;
        let target = Remote::new(server.address(), server.clock(), PATIENCE);
        let target = target.over_udp(transcript.over_udp);
        note(
            run(transcript, Side::Larder, delivery).against(&target),
            &mut tried,
        )?;
    }
    Ok(tried?)
}

/// A real server for each delivery, so that no state is left from the one before.
fn against_peer(transcript: &Transcript, kind: Kind) -> Result<(), Failed> {
    let PeerArguments {
        arguments,
        file: _file,
    } = peer_arguments(transcript, kind)?;
    let mut tried = Err(String::new());
    if kind.installed().is_none() {
        support::skipped_without(kind, &format!("{} was not compared", transcript.name));
        return Ok(());
    }
    for delivery in OVER_SOCKETS {
        let mut started = Ok(());
        let start = || match transcript.over_udp {
            true => Peer::start_with_udp(kind, &arguments),
            false => Peer::start(kind, &arguments),
        };
        let outcome = in_time(transcript, || match start() {
            Ok(Some(peer)) => {
                let time = RealTime { at_most: WAIT };
                let target = Remote::new(peer.address(), &time, PATIENCE);
                let target = target.over_udp(transcript.over_udp);
                run(transcript, Side::Real, delivery).against(&target)
            }
            other => {
                started = other.map(|_| ());
                Outcome::Skipped("it did not start".into())
            }
        });
        started?;
        note(outcome, &mut tried)?;
    }
    if let Err(why) = tried {
        eprintln!("SKIPPED: {}: {} {why}", transcript.name, kind.program());
    }
    Ok(())
}

/// The command line of a real server, and the file that it names, which must stay.
struct PeerArguments {
    arguments: Vec<String>,
    file: Option<NamedTempFile>,
}

/// The settings of the header as the real server's command line has them. Those of larder alone
/// mean nothing there.
fn peer_arguments(transcript: &Transcript, kind: Kind) -> Result<PeerArguments, Failed> {
    let mut arguments = Vec::new();
    let mut file = None;
    for (name, value) in &transcript.options {
        match (kind, name.as_str()) {
            (_, "nested") => {}
            (Kind::Memcached | Kind::NewMemcached, "max-item-size") => {
                arguments.extend(["-I".into(), value.clone()])
            }
            (Kind::Memcached | Kind::NewMemcached, "memory") => {
                arguments.extend(["-m".into(), value.clone()])
            }
            (Kind::Memcached | Kind::NewMemcached, "user") => {
                let users = NamedTempFile::new()?;
                std::fs::write(users.path(), value)?;
                arguments.extend(["-Y".into(), users.path().display().to_string()]);
                file = Some(users);
            }
            (Kind::Redis, "password") => {
                arguments.extend(["--requirepass".into(), value.clone()]);
            }
            _ => {
                let file = &transcript.file;
                return Err(format!("{file}: {} has no option {name}", kind.program()).into());
            }
        }
    }
    Ok(PeerArguments { arguments, file })
}

fn run(transcript: &Transcript, side: Side, delivery: TranscriptDelivery) -> Run<'_> {
    Run {
        transcript,
        side,
        delivery,
        patience: PATIENCE,
    }
}

/// Ends the case at a difference; otherwise notes whether it was tried, and if not, the reason.
fn note(outcome: Outcome, tried: &mut Result<(), String>) -> Result<(), Failed> {
    match outcome {
        Outcome::Passed => *tried = Ok(()),
        Outcome::Skipped(why) if tried.as_ref().is_err_and(String::is_empty) => *tried = Err(why),
        Outcome::Skipped(_) => {}
        Outcome::Failed(difference) => return Err(difference.to_string().into()),
    }
    Ok(())
}
