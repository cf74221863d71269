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

use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use larder::tools::transcript::{
    Address, Agrees, Outcome, RealTime, Remote, Run, Side, Transcript, TranscriptDelivery, in_time,
    parse,
};

use super::diffs;
use super::includes;
use super::pages::{Book, Page, files_below, text_of};
use super::running::{PATIENCE, Staged, is_invalidator};

/// The wait for a reply that must not come.
const IMPATIENCE: Duration = Duration::from_millis(500);

/// Conversations that are held at the same time: most of them wait.
pub(crate) const AT_A_TIME: usize = 8;

/// Stages that are checked at the same time: while the last conversations with one wait, the next is busy.
pub(crate) const STAGES_AT_A_TIME: usize = 2;

/// The longest wait that a stage's transcript may ask of the real clock.
const LONGEST_WAIT: Duration = Duration::from_secs(3);

/// The stage that has all commands of larder's library. Later stages have to pass the transcripts of
/// the others, if a real server passes them.
const LIBRARY: u32 = 7;

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

/// Whether a delivery is possible, and other than the one as written: a single exchange is written at once anyway.
fn is_another(transcript: &Transcript, delivery: TranscriptDelivery) -> bool {
    let time = RealTime {
        at_most: LONGEST_WAIT,
    };
    let nobody = Remote::new(Address::parse("127.0.0.1:0"), &time, PATIENCE);
    let run = Run {
        transcript,
        side: Side::Larder,
        delivery,
        patience: PATIENCE,
    };
    run.cannot(&nobody).is_none()
        && (delivery != TranscriptDelivery::InOneWrite || transcript.exchanges().count() > 1)
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
        .flat_map(|t| deliveries.map(|delivery| (t, delivery)))
        .filter(|(transcript, delivery)| is_another(transcript, *delivery));
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

/// The faults of this page's stage, if these are the transcripts of the project: a list of sentences.
pub(crate) fn problems(
    book: &Book,
    page: &Page,
    name: &str,
    transcripts: &[Transcript],
) -> Result<Vec<String>, String> {
    let Some(stage) = page.chapter() else {
        return Ok(Vec::new());
    };
    let mut problems = Vec::new();
    let included = included(book, page)?;
    let started = Staged::start(stage, name, None)?.program;
    let protocols: Vec<&str> = started.listening.iter().map(|(p, _)| p.as_str()).collect();
    let lineage = diffs::lineage(stage);
    let mut promised = transcripts.to_vec();
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
