//! Differences that are right: how each is kept out of the comparison, and the transcript that shows both answers.
//!
//! A line `<L` of these transcripts is expected through the proxy, and `<R` of the bare server.

use std::path::Path;
use std::time::Duration;

use larder::proxy::Protocol;
use larder::tools::transcript::{
    Address, Outcome, RealTime, Remote, Run, Side, TranscriptDelivery, parse,
};

use super::Both;
use super::proxy_support::PATIENCE;
use super::support;

/// How the streams avoid the difference, the reason, and the transcript beside this file.
const DECLARED: [(&str, &str, &str); 3] = [
    (
        "of nearly valid requests the kind of an error is compared, not its words",
        "the proxy checks the end of a value before it forwards the request, so it may find another of two mistakes",
        "another_of_two_mistakes",
    ),
    (
        "the cas uniques of replies are compared by their equality",
        "two servers number their items differently",
        "cas_uniques_of_two_servers",
    ),
    (
        "no line has a number behind the length",
        "the proxy doesn't know whether the server behind it takes that for the length, as larder does with nested keys",
        "values_with_two_lengths",
    ),
];

#[test]
fn each_declared_difference_is_as_its_transcript_shows_it() {
    let both = Both::start(Protocol::Memcached);
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/proxy_differential");
    let files = support::files(&home);
    assert_eq!(files.len(), DECLARED.len(), "each is declared");
    let time = RealTime {
        at_most: Duration::ZERO,
    };
    for (how, why, name) in DECLARED {
        let text = std::fs::read_to_string(home.join(name).with_extension("txt"));
        let text = text.unwrap_or_else(|error| panic!("{how} ({why}): {name}: {error}"));
        let transcript = parse(name, name, &text).unwrap_or_else(|error| panic!("{error}"));
        let sides = [Side::Larder, Side::Real].into_iter().zip(both.addresses());
        for (side, address) in sides {
            let target = Remote::new(Address::Tcp(address.to_string()), &time, PATIENCE);
            let run = Run {
                transcript: &transcript,
                side,
                delivery: TranscriptDelivery::AsWritten,
                patience: PATIENCE,
            };
            let outcome = run.against(&target);
            assert!(matches!(outcome, Outcome::Passed), "{how}: {outcome:?}");
        }
    }
}
