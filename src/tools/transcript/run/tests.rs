//! The runner against a small service of lines, right and wrong, without sockets and with them.

use std::borrow::Cow;
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use super::*;
use crate::server::{Next, Peer, Refusal, Service, Session, Turn};
use crate::store::Clock;
use crate::tools::transcript::{Address, InProcess, RealTime, Remote, parse};

/// `say X` answers X, `time` the clock, `quit` closes, any other line is not answered. A `hasty`
/// one takes each read for whole lines, as the servers of many tutorials do.
struct Lines {
    clock: Clock,
    hasty: bool,
}

impl Service for Lines {
    fn protocol(&self) -> &'static str {
        "lines"
    }

    fn open(&self, _peer: Peer) -> Box<dyn Session> {
        Box::new(LinesSession {
            clock: self.clock.clone(),
            hasty: self.hasty,
        })
    }

    fn refusal(&self, _why: Refusal) -> Cow<'static, [u8]> {
        Cow::Borrowed(b"")
    }
}

struct LinesSession {
    clock: Clock,
    hasty: bool,
}

impl Session for LinesSession {
    fn turn(&mut self, input: &[u8], output: &mut Vec<u8>) -> Turn {
        let mut consumed = 0;
        while let Some(end) = input[consumed..].iter().position(|&b| b == b'\n') {
            let line = input[consumed..consumed + end].trim_ascii_end();
            consumed += end + 1;
            if let Some(said) = line.strip_prefix(b"say ") {
                output.extend_from_slice(said);
                output.extend_from_slice(b"\r\n");
            } else if line == b"time" {
                output.extend_from_slice(self.clock.now_ms().to_string().as_bytes());
                output.extend_from_slice(b"\r\n");
            } else if line == b"quit" {
                return Turn {
                    consumed,
                    next: Next::Close,
                };
            }
            if self.hasty {
                break;
            }
        }
        let consumed = if self.hasty { input.len() } else { consumed };
        Turn {
            consumed,
            next: Next::Read,
        }
    }
}

fn transcript(conversation: &str) -> Transcript {
    let header = "protocol: memcached\nshows: x\nstage: 1\nagrees: memcached 1.6\n\n";
    parse("t", "t.txt", &format!("{header}{conversation}")).unwrap()
}

fn replay(conversation: &str, delivery: TranscriptDelivery, hasty: bool) -> Outcome {
    let transcript = transcript(conversation);
    let clock = Clock::manual(5_000);
    let target = InProcess::new(
        Arc::new(Lines {
            clock: clock.clone(),
            hasty,
        }),
        &clock,
    );
    let (side, patience) = (Side::Larder, Duration::ZERO);
    Run {
        transcript: &transcript,
        side,
        delivery,
        patience,
    }
    .against(&target)
}

#[track_caller]
fn passes(conversation: &str) {
    let longest = 64;
    let some = [
        TranscriptDelivery::AsWritten,
        TranscriptDelivery::ByteByByte,
        TranscriptDelivery::InOneWrite,
    ];
    for delivery in some.into_iter().chain(TranscriptDelivery::cuts(longest)) {
        if let Outcome::Failed(difference) = replay(conversation, delivery, false) {
            panic!("{difference}");
        }
    }
}

#[track_caller]
fn fails(conversation: &str) -> Difference {
    match replay(conversation, TranscriptDelivery::AsWritten, false) {
        Outcome::Failed(difference) => *difference,
        other => panic!("{other:?}"),
    }
}

#[test]
fn sent_lines_come_back_in_every_delivery() {
    passes("> say one\n< one\n\n> say two\n> say three\n< two\n< three\n");
    passes(">- say a\\r\\nsay b\\r\\n\n<- a\\r\\nb\n<- \\r\\n\n> quit\n<eof\n");
    passes("> say \\{x*300}\n< \\{x*300}\n");
    passes("> nothing comes of this\n>eof\n<eof\n");
    passes("> say L\n<L L\n<R R\n");
}

#[test]
fn a_captured_value_is_sent_and_expected() {
    passes("> say 4711\n<~ (?<n>\\d+)\n> say ${n}!\n< ${n}!\n> say a${n}\n<~ a${n}\n");
}

#[test]
fn bytes_in_hexadecimal_are_sent_and_expected() {
    passes(">x 736179 20 \"one\" 0d0a  # say one\n<x 6f \"ne\" 0d0a\n");
    passes("> say 12345\n<x 31 .... ${rest:2} 0d0a\n> say ${rest}\n<x ${rest} 0d0a\n");
    let difference = fails("> say 12345\n<x 31 .... \"46\" 0d0a\n");
    assert_eq!(difference.why, Mismatch::At(4));
    assert_eq!(difference.expected, "31 .... \"46\" 0d0a");
    assert_eq!(
        fails("> say 12\n<x \"12\" ........\n").why,
        Mismatch::Silence(Duration::ZERO)
    );
}

#[test]
fn time_passes_and_is_known() {
    passes("> time\n< ${now_ms}\n\n@ 2s\n> time\n< ${now_ms+2000}\n> say ${now+10}\n< 15\n");
}

#[test]
fn long_waits_are_skipped() {
    let transcript = transcript("@ 3s\n> a\n< b\n");
    let time = RealTime {
        at_most: Duration::from_secs(2),
    };
    let (side, delivery, patience) = (Side::Real, TranscriptDelivery::AsWritten, Duration::ZERO);
    let target = Remote::new(Address::Unix("none".into()), &time, patience);
    let outcome = Run {
        transcript: &transcript,
        side,
        delivery,
        patience,
    }
    .against(&target);
    assert!(matches!(outcome, Outcome::Skipped(why) if why.contains("3s")));
}

#[test]
fn connections_stand_side_by_side() {
    passes("a> say 1\nb> say 2\nb< 2\na< 1\n\na> quit\na<eof\nb> say 3\nb< 3\n");
}

#[test]
fn a_wrong_byte_is_shown_with_its_line() {
    let difference = fails("> say x\n> say right\n< x\n< wrong\n\n> say never\n< never\n");
    assert_eq!(
        (difference.line, difference.why.clone()),
        (9, Mismatch::At(0))
    );
    assert_eq!(difference.sent, b"say x\r\nsay right\r\n");
    assert_eq!(
        difference.to_string(),
        "t.txt:9: differs at byte 1 (as written)\n  sent      say x\\r\\n\n            say right\\r\\n\n  \
         expected  wrong\\r\\n\n  got       right\\r\\n"
    );
}

#[test]
fn silence_an_end_and_too_much_are_shown() {
    assert_eq!(
        fails("> hush\n< x\n").why,
        Mismatch::Silence(Duration::ZERO)
    );
    assert_eq!(fails("> quit\n< x\n").why, Mismatch::Closed);
    assert_eq!(fails("> say xy\n<- x\n").got, b"y\r\n");
    assert_eq!(fails("> say xy\n").why, Mismatch::Leftover);
    assert_eq!(fails("> say xy\n<eof\n").why, Mismatch::Leftover);
    assert_eq!(
        fails("> hush\n<eof\n").why,
        Mismatch::StayedOpen(Duration::ZERO)
    );
    assert_eq!(fails("> say 12x\n<~ \\d+\n").why, Mismatch::NoMatch);
    assert_eq!(fails("> say x\n< xy\n").why, Mismatch::At(1));
}

#[test]
fn a_server_that_takes_a_read_for_a_line_is_found_by_the_cuts() {
    let conversation = "> say one\n< one\n\n> say two\n< two\n";
    assert!(matches!(
        replay(conversation, TranscriptDelivery::AsWritten, true),
        Outcome::Passed
    ));
    for delivery in [
        TranscriptDelivery::ByteByByte,
        TranscriptDelivery::InOneWrite,
        TranscriptDelivery::CutAt(3),
    ] {
        assert!(
            matches!(replay(conversation, delivery, true), Outcome::Failed(_)),
            "{delivery}"
        );
    }
}

#[test]
fn one_write_is_only_tried_where_it_makes_sense() {
    for conversation in ["a> say 1\na< 1\nb> say 2\nb< 2\n", "@ 1s\n> say 1\n< 1\n"] {
        assert!(matches!(
            replay(conversation, TranscriptDelivery::InOneWrite, false),
            Outcome::Skipped(_)
        ));
    }
    let sends_what_it_was_told = "> say 1\n<~ (?<n>.*)\n> say ${n}\n< 1\n";
    let outcome = replay(
        sends_what_it_was_told,
        TranscriptDelivery::InOneWrite,
        false,
    );
    assert!(matches!(outcome, Outcome::Skipped(_)));
}

/// Answers each connection with `answer` and closes it if `closes`, else when the client has ended.
fn serve(answer: &'static [u8], closes: bool) -> (tempfile::TempDir, Address) {
    use std::io::{Read, Write};
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(answer).unwrap();
        if !closes {
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    (directory, Address::Unix(path))
}

/// The difference, if there is one, to a server that sends `answer`, and then closes the connection or waits.
fn over_a_socket(
    conversation: &str,
    answer: &'static [u8],
    closes: bool,
    delivery: TranscriptDelivery,
    patience: Duration,
) -> Option<Mismatch> {
    let (_directory, address) = serve(answer, closes);
    let transcript = transcript(conversation);
    let time = RealTime {
        at_most: Duration::ZERO,
    };
    let run = Run {
        transcript: &transcript,
        side: Side::Larder,
        delivery,
        patience,
    };
    match run.against(&Remote::new(address, &time, patience)) {
        Outcome::Failed(difference) => Some(difference.why),
        _ => None,
    }
}

#[test]
fn sockets_bring_the_same_findings() {
    let patience = Duration::from_secs(60);
    let found = |conversation, answer, closes| {
        over_a_socket(
            conversation,
            answer,
            closes,
            TranscriptDelivery::AsWritten,
            patience,
        )
    };
    assert_eq!(found("> a\n< b\n", b"b\r\n", false), None);
    assert_eq!(found("< b\n<eof\n", b"b\r\n", true), None);
    assert_eq!(found("< b\n", b"b\r\nc", false), Some(Mismatch::Leftover));
    assert_eq!(found("< bd\n", b"b\r\n", false), Some(Mismatch::At(1)));
    assert_eq!(found("< b\n< c\n", b"b\r\n", true), Some(Mismatch::Closed));
    let cut = over_a_socket(
        "> a\n< b\n",
        b"b\r\n",
        false,
        TranscriptDelivery::ByteByByte,
        patience,
    );
    assert_eq!(cut, None);
}

#[test]
fn a_silent_socket_is_waited_for_as_long_as_patience_allows() {
    // The answer before the silence must come in that time.
    let found = |conversation, expected: fn(&Mismatch) -> bool| {
        [200, 2_000, 20_000].into_iter().any(|patience| {
            let patience = Duration::from_millis(patience);
            let written = TranscriptDelivery::AsWritten;
            over_a_socket(conversation, b"b\r\n", false, written, patience)
                .is_some_and(|why| expected(&why))
        })
    };
    assert!(found("< b\n< c\n", |why| matches!(
        why,
        Mismatch::Silence(_)
    )));
    assert!(found("< b\n<eof\n", |why| matches!(
        why,
        Mismatch::StayedOpen(_)
    )));
}

#[test]
fn an_unreachable_server_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    let time = RealTime {
        at_most: Duration::ZERO,
    };
    let patience = Duration::from_secs(1);
    let target = Remote::new(
        Address::Unix(directory.path().join("none")),
        &time,
        patience,
    );
    let transcript = transcript("> a\n< b\n");
    let (side, delivery) = (Side::Real, TranscriptDelivery::AsWritten);
    let outcome = Run {
        transcript: &transcript,
        side,
        delivery,
        patience,
    }
    .against(&target);
    assert!(matches!(outcome, Outcome::Failed(d) if matches!(d.why, Mismatch::Broken(_))));
}
