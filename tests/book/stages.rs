//! The stages: each is built, started on a free port, and checked against its chapter's promises.
//!
//! - It passes every transcript of its protocols whose header says `stage: N` for its own number or
//!   that of a stage that it is written from, in every delivery, and those that its chapter shows.
//! - It fails every conversation that its chapter includes as ```` ```transcript,fails ````: why a next stage is needed.
//! - The article's version, where the chapter has one, fails every conversation that is included as
//!   ```` ```transcript,article ````.
//! - A stage after the one that has larder's whole library must pass the transcripts that real servers
//!   pass. One in front of other servers gets some that fail on request.
//! - Every transcript that a chapter includes is one of these two, so no page shows a
//!   conversation that was not held.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use tempfile::NamedTempFile;

use larder::tools::transcript::{
    Address, Agrees, Outcome, RealTime, Remote, Run, Side, Transcript, TranscriptDelivery, in_time,
    parse,
};

use super::console::until;
use super::diffs;
use super::includes;
use super::pages::{Book, Page, files_below, text_of};
use super::programs::programs;

/// The longest wait for a reply on a machine that builds other programs meanwhile.
const PATIENCE: Duration = Duration::from_secs(120);

/// The wait for a reply that must not come.
const IMPATIENCE: Duration = Duration::from_millis(500);

/// Conversations that are held at the same time: most of them wait.
pub(crate) const AT_A_TIME: usize = 8;

/// The deadline that stage 10 gets, in seconds: a server that answers is never late. It passes in one conversation.
const DEADLINE: &str = "20";

/// The longest wait that a stage's transcript may ask of the real clock.
const LONGEST_WAIT: Duration = Duration::from_secs(3);

/// The stage that has all commands of larder's library. Later stages have to pass the transcripts of
/// the others, if a real server passes them.
const LIBRARY: u32 = 7;

/// A program that listens; it is ended with this.
pub(crate) struct Running {
    child: Child,
    /// The listeners that it reported: protocol and address.
    pub(crate) listening: Vec<(String, String)>,
}

impl Running {
    /// Starts a stage and waits until it has reported its address, once for each of `listeners`.
    pub(crate) fn start(
        name: &str,
        arguments: &[&str],
        listeners: usize,
    ) -> Result<Running, String> {
        let mut child = Command::new(programs().join("examples").join(name))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{name}: {error}"))?;
        let stdout = child.stdout.take().expect("stdout is piped");
        let mut running = Running {
            child,
            listening: Vec::new(),
        };
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        while running.listening.len() < listeners {
            let line = lines
                .recv_timeout(PATIENCE)
                .map_err(|_| format!("{name} does not start"))?;
            let words: Vec<&str> = line.split(' ').collect();
            let ["listening", "on", protocol, address] = words[..] else {
                return Err(format!(
                    "{name} printed {line:?}, not `listening on PROTOCOL ADDR`"
                ));
            };
            running
                .listening
                .push((protocol.to_owned(), address.to_owned()));
        }
        Ok(running)
    }

    pub(crate) fn address(&self) -> &str {
        &self.listening[0].1
    }

    /// The address of a protocol's listener, or else that of the first one.
    fn speaks(&self, protocol: &str) -> &str {
        let found = self.listening.iter().find(|(name, _)| name == protocol);
        found.map_or(self.address(), |(_, address)| address)
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has ended by itself; returns its status and its standard error.
    pub(crate) fn ended(mut self) -> Result<(ExitStatus, String), String> {
        let mut status = None;
        until(|| {
            status = self.child.try_wait().ok().flatten();
            status.is_some()
        })
        .map_err(|()| "it does not end".to_owned())?;
        let mut errors = String::new();
        if let Some(stderr) = &mut self.child.stderr {
            stderr
                .read_to_string(&mut errors)
                .map_err(|error| error.to_string())?;
        }
        Ok((status.expect("it has ended"), errors))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The number of a stage's listeners. The sixth has one for each protocol and so have those that are written from it; the
/// seventh has one more for echo, the fifteenth one for UDP.
fn listeners(stage: u32) -> usize {
    match stage {
        6 | 14 => 2,
        7 | 15 => 3,
        _ => 1,
    }
}

/// A program and the servers that it stands in front of.
struct Staged {
    program: Running,
    _upstreams: Option<Running>,
    _list: Option<NamedTempFile>,
}

impl Staged {
    /// Starts a program as a stage of this number is started, for this conversation if it has a wish.
    fn start(stage: u32, name: &str, transcript: Option<&Transcript>) -> Result<Staged, String> {
        let mut arguments = vec!["0".to_owned()];
        let mut list = None;
        let upstreams = match stage {
            8 => Some(Running::start("faulty", &["resp", "0"], 1)?),
            9 | 10 => Some(Running::start("faulty", &["memcached", "0", "0", "0"], 3)?),
            _ => None,
        };
        match &upstreams {
            Some(upstreams) if stage == 8 => arguments.push(upstreams.address().to_owned()),
            Some(upstreams) => {
                // Names that don't depend on the free ports, so that keys always have the same
                // servers.
                let lines = upstreams.listening.iter().zip(["a", "b", "c"]);
                let lines = lines.map(|((_, address), name)| format!("{address} 1 {name}\n"));
                let file = NamedTempFile::new().map_err(|error| error.to_string())?;
                fs::write(file.path(), lines.collect::<String>())
                    .map_err(|error| error.to_string())?;
                arguments.push(file.path().display().to_string());
                list = Some(file);
            }
            None if is_invalidator(stage) => {
                // That address has no listener: the answers to clients must not depend on it.
                let file = NamedTempFile::new().map_err(|error| error.to_string())?;
                fs::write(file.path(), "127.0.0.1:1 1\n").map_err(|error| error.to_string())?;
                arguments.push(file.path().display().to_string());
                list = Some(file);
            }
            None => {}
        }
        if stage == 10 {
            arguments.push(DEADLINE.to_owned());
        }
        let on_failure = transcript.and_then(|transcript| transcript.option("on-failure"));
        arguments.extend(on_failure.map(str::to_owned));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Ok(Staged {
            program: Running::start(name, &arguments, listeners(stage))?,
            _upstreams: upstreams,
            _list: list,
        })
    }
}

/// Whether a stage has memcached's protocol and no store: its promises are the conversations of its
/// chapter.
fn is_invalidator(stage: u32) -> bool {
    matches!(stage, 11 | 12)
}

/// The article's program whose code a page shows.
fn article(page: &Page) -> Result<Option<String>, String> {
    for fence in page
        .fences
        .iter()
        .filter(|fence| fence.language() == "rust")
    {
        for include in includes::of(page, fence)? {
            let name = include.path.file_stem().unwrap_or_default();
            let name = name.to_string_lossy();
            if name.starts_with("article_") {
                return Ok(Some(name.into_owned()));
            }
        }
    }
    Ok(None)
}

/// Every transcript of the project.
pub(crate) fn transcripts(root: &Path) -> Result<Vec<Transcript>, String> {
    let directory = root.join("tests/transcripts");
    files_below(&directory, ".txt")
        .iter()
        .map(|file| transcript(root, file))
        .collect()
}

fn transcript(root: &Path, file: &Path) -> Result<Transcript, String> {
    let shown = file
        .strip_prefix(root)
        .unwrap_or(file)
        .display()
        .to_string();
    let name = shown
        .trim_start_matches("tests/transcripts/")
        .trim_end_matches(".txt");
    parse(name, &shown, &text_of(file)?).map_err(|error| error.to_string())
}

/// A page's statement about a transcript that it includes.
#[derive(Clone, Copy, PartialEq)]
enum Said {
    /// The stage passes it.
    Passes,
    /// The stage passes it, and the article's version fails it.
    PassesUnlikeTheArticle,
    /// The stage fails it.
    Fails,
}

/// The transcripts that a page includes, and its statements about them.
fn included(book: &Book, page: &Page) -> Result<Vec<(Transcript, Said)>, String> {
    let mut found = Vec::new();
    for fence in page
        .fences
        .iter()
        .filter(|fence| fence.language() == "transcript")
    {
        for include in includes::of(page, fence)? {
            let transcript = transcript(&book.root, &book.root.join(include.path))?;
            let said = match (fence.is("fails"), fence.is("article")) {
                (true, _) => Said::Fails,
                (_, true) => Said::PassesUnlikeTheArticle,
                _ => Said::Passes,
            };
            found.push((transcript, said));
        }
    }
    Ok(found)
}

/// Whether a page shows a transcript as one that its stage passes.
fn shown(included: &[(Transcript, Said)], name: &str) -> bool {
    included
        .iter()
        .any(|(transcript, said)| transcript.name == name && *said != Said::Fails)
}

/// The protocol in the line of the listener that a transcript needs.
fn listener(transcript: &Transcript) -> &'static str {
    if transcript.over_udp {
        return "udp";
    }
    transcript.protocol.name()
}

/// Replays a transcript against an address. `None` when it passes, or when this delivery makes
/// no sense for it.
pub(crate) fn difference(
    transcript: &Transcript,
    address: &str,
    delivery: TranscriptDelivery,
    patience: Duration,
    side: Side,
) -> Option<String> {
    match replay(transcript, address, delivery, patience, side) {
        Outcome::Failed(difference) => Some(difference.to_string()),
        _ => None,
    }
}

fn replay(
    transcript: &Transcript,
    address: &str,
    delivery: TranscriptDelivery,
    patience: Duration,
    side: Side,
) -> Outcome {
    let time = RealTime {
        at_most: LONGEST_WAIT,
    };
    let target = Remote::new(Address::parse(address), &time, patience);
    let target = target.over_udp(transcript.over_udp);
    let run = Run {
        transcript,
        side,
        delivery,
        patience,
    };
    run.against(&target)
}

/// The promises that a stage breaks. Several are tried at a time, because some of them wait.
fn broken(stage: u32, name: &str, promised: &[Transcript]) -> Vec<String> {
    let deliveries = [
        TranscriptDelivery::AsWritten,
        TranscriptDelivery::ByteByByte,
        TranscriptDelivery::InOneWrite,
    ];
    let tries = promised
        .iter()
        .flat_map(|t| deliveries.map(|delivery| (t, delivery)));
    side_by_side(AT_A_TIME, tries, |(transcript, delivery)| {
        let mut problem = None;
        let outcome = in_time(transcript, || {
            // A server of its own, so that no transcript finds items of another.
            match Staged::start(stage, name, Some(transcript)) {
                Ok(server) => {
                    let address = server.program.speaks(listener(transcript));
                    replay(transcript, address, delivery, PATIENCE, Side::Larder)
                }
                Err(what) => {
                    problem = Some(what.clone());
                    Outcome::Skipped(what)
                }
            }
        });
        match outcome {
            Outcome::Failed(difference) => Some(format!("{name}: {difference}")),
            _ => problem,
        }
    })
}

/// Checks all of `items`, so many at a time; the problems that `check` found.
pub(crate) fn side_by_side<T: Send>(
    at_a_time: usize,
    items: impl IntoIterator<Item = T, IntoIter: Send>,
    check: impl Fn(T) -> Option<String> + Sync,
) -> Vec<String> {
    let items = Mutex::new(items.into_iter());
    let next = || items.lock().expect("`next` doesn't panic").next();
    let work = || -> Vec<String> { std::iter::from_fn(next).filter_map(&check).collect() };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..at_a_time).map(|_| scope.spawn(work)).collect();
        let joined = workers
            .into_iter()
            .flat_map(|worker| worker.join().expect("no check panics"));
        joined.collect()
    })
}

/// The faults of this page's stage: a list of sentences.
pub(crate) fn problems(book: &Book, page: &Page, name: &str) -> Result<Vec<String>, String> {
    let Some(stage) = page.chapter() else {
        return Ok(Vec::new());
    };
    let mut problems = Vec::new();
    let included = included(book, page)?;
    let started = Staged::start(stage, name, None)?.program;
    let protocols: Vec<&str> = started.listening.iter().map(|(p, _)| p.as_str()).collect();
    let lineage = diffs::lineage(stage);
    let mut promised = transcripts(&book.root)?;
    promised.retain(|transcript| {
        let shown = shown(&included, &transcript.name);
        // One that needs settings is promised by the chapters that show it.
        let only_if_shown = is_invalidator(stage) || !transcript.options.is_empty();
        let real = !matches!(transcript.agrees, Agrees::LarderOnly(_));
        transcript.stage <= stage
            && (shown
                || !only_if_shown
                    && lineage.contains(&transcript.stage)
                    && protocols.contains(&listener(transcript))
                    && (stage <= LIBRARY || transcript.stage != LIBRARY && real))
    });
    if promised.is_empty() {
        problems.push(format!("{name}: no transcript says what it must do"));
    }
    problems.extend(broken(stage, name, &promised));
    let mut motives = 0;
    let article = article(page)?;
    for (transcript, said) in &included {
        let delivery = TranscriptDelivery::AsWritten;
        if *said == Said::Fails {
            motives += 1;
            let server = Staged::start(stage, name, Some(transcript))?;
            let address = server.program.speaks(listener(transcript));
            if lineage.contains(&transcript.stage) {
                problems.push(format!("{}: a later stage must pass it", transcript.name));
            } else if difference(transcript, address, delivery, IMPATIENCE, Side::Larder).is_none()
            {
                problems.push(format!(
                    "{name} passes {}, which it must fail",
                    transcript.name
                ));
            }
        } else if transcript.stage > stage {
            problems.push(format!(
                "{}: {} is for stage {}",
                page.path.display(),
                transcript.name,
                transcript.stage
            ));
        } else if *said == Said::PassesUnlikeTheArticle {
            let Some(article) = &article else {
                let page = page.path.display();
                problems.push(format!("{page}: shows no code of an article"));
                continue;
            };
            let server = Staged::start(stage, article, Some(transcript))?;
            let address = server.program.address();
            if difference(transcript, address, delivery, IMPATIENCE, Side::Larder).is_none() {
                problems.push(format!(
                    "{article} passes {}, which it must fail",
                    transcript.name
                ));
            }
        }
    }
    if motives == 0 {
        problems.push(format!(
            "{}: shows no conversation that its stage fails",
            page.path.display()
        ));
    }
    Ok(problems)
}

/// The faults in the conversations of a chapter that has no stage: each must be a real server's.
pub(crate) fn problems_without_stage(book: &Book, page: &Page) -> Result<Vec<String>, String> {
    let foreign = |(transcript, said): (Transcript, Said)| {
        let real = said == Said::Passes && !matches!(transcript.agrees, Agrees::LarderOnly(_));
        let page = page.path.display();
        (!real).then(|| {
            format!(
                "{page}: {} is no real server's conversation",
                transcript.name
            )
        })
    };
    Ok(included(book, page)?
        .into_iter()
        .filter_map(foreign)
        .collect())
}
