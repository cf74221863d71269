//! The parsers of requests: memcached's text and binary protocols, RESP, and the proxy's framers.

use larder::protocol::framing::request::{RequestBuffers, RequestFrame, RequestFramer};
use larder::protocol::memcached::binary;
use larder::protocol::memcached::text::{self, Nesting, Parsed};
use larder::protocol::resp::{CommandWords, Limits, ReadOutcome, Reader};

use super::{chosen, pieces};

/// Text commands, one after the other. A part of a line is never a command, and the length that is known to hold no
/// line's end does not change the result.
pub(crate) fn memcached_text(bytes: &[u8]) {
    let (choice, mut input) = chosen(bytes);
    let nesting = match choice % 3 {
        0 => Nesting::On,
        1 => Nesting::Off,
        _ => Nesting::Unknown,
    };
    while !input.is_empty() {
        let parsed = text::parse(input, 0, nesting);
        let consumed = match parsed {
            Parsed::Done { consumed, .. } | Parsed::Bad { consumed, .. } => consumed,
            Parsed::More => return,
        };
        assert!((1..=input.len()).contains(&consumed));
        if input[consumed - 1] == b'\n' {
            let part = &input[..consumed - 1];
            let of_part = text::parse(part, 0, nesting);
            let is_closed = matches!(of_part, Parsed::Bad { .. }) && part.len() > text::LINE_LIMIT;
            assert!(of_part == Parsed::More || is_closed, "{of_part:?}");
            assert_eq!(text::parse(input, consumed - 1, nesting), parsed);
        }
        input = &input[consumed..];
    }
}

/// Binary requests. A request is the same whatever follows it, and its beginning waits for at least what is missing.
pub(crate) fn memcached_binary(bytes: &[u8]) {
    let mut input = bytes;
    loop {
        let parsed = binary::parse(input);
        let consumed = match parsed {
            binary::Parsed::Done { consumed, .. } | binary::Parsed::Bad { consumed, .. } => {
                consumed
            }
            binary::Parsed::More { needed } => {
                assert!(needed > input.len());
                return;
            }
            binary::Parsed::Foreign => return,
        };
        assert!((1..=input.len()).contains(&consumed));
        assert_eq!(binary::parse(&input[..consumed]), parsed);
        let part = binary::parse(&input[..consumed - 1]);
        assert!(
            matches!(part, binary::Parsed::More { needed } if needed <= consumed),
            "{part:?}"
        );
        input = &input[consumed..];
    }
}

/// The commands that a reader of RESP finds in an input that arrives in pieces.
fn read_resp(unauthenticated: bool, pieces: &mut dyn Iterator<Item = &[u8]>) -> Vec<String> {
    let limits = Limits {
        bulk: 1000,
        request: 100_000,
        unauthenticated,
    };
    let mut seen = Vec::new();
    let mut reader = Reader::default();
    let mut held = Vec::new();
    for piece in pieces {
        held.extend_from_slice(piece);
        loop {
            let mut words = CommandWords::default();
            let outcome = reader.read(&held, &limits, &mut words);
            let consumed = match outcome {
                ReadOutcome::Command(length) => {
                    assert!(length > 0);
                    let args = words.args(&held[..length]);
                    let args: Vec<&[u8]> = args.iter().collect();
                    seen.push(format!("{args:?}"));
                    length
                }
                ReadOutcome::TooLarge(length) => {
                    seen.push("too large".into());
                    length
                }
                ReadOutcome::Incomplete(length) => length,
                ReadOutcome::Bad(_) | ReadOutcome::Overflow => {
                    seen.push(format!("{outcome:?}"));
                    return seen;
                }
            };
            assert!(consumed <= held.len());
            held.drain(..consumed);
            if matches!(outcome, ReadOutcome::Incomplete(_)) {
                break;
            }
        }
    }
    seen
}

/// Requests of RESP: the same commands in any pieces.
pub(crate) fn resp_requests(bytes: &[u8]) {
    let (choice, input) = chosen(bytes);
    let unauthenticated = choice % 2 == 1;
    let whole = read_resp(unauthenticated, &mut std::iter::once(input));
    let cut = read_resp(unauthenticated, &mut pieces(choice / 2, input));
    // A line may be too long only because its end has not arrived.
    if input.len() < 60_000 {
        assert_eq!(cut, whole);
    }
}

/// The requests that the proxy finds in an input that arrives in pieces; the last are those of the end.
fn framed(mut framer: RequestFramer, pieces: &mut dyn Iterator<Item = &[u8]>) -> Vec<String> {
    let mut seen = Vec::new();
    let mut scratch = RequestBuffers::default();
    let mut held = Vec::new();
    for piece in pieces {
        held.extend_from_slice(piece);
        loop {
            let (consumed, shown, ends) = match framer.frame(&held, &mut scratch) {
                RequestFrame::Request(request, consumed) => {
                    let bytes = request.bytes.escape_ascii();
                    let shown = format!("{:?} {bytes}", request.shape);
                    (consumed, Some(shown), false)
                }
                RequestFrame::Nothing(consumed) => (consumed, None, consumed == 0),
                RequestFrame::Incomplete => (0, None, true),
                RequestFrame::Large(_) => return seen,
                RequestFrame::Bad {
                    reply,
                    consumed,
                    close,
                } => {
                    let shown = format!("{}", reply.escape_ascii());
                    if close {
                        seen.push(shown);
                        return seen;
                    }
                    (consumed, Some(shown), consumed == 0)
                }
            };
            assert!(consumed <= held.len());
            seen.extend(shown);
            held.drain(..consumed);
            if ends {
                break;
            }
        }
    }
    seen
}

/// The proxy's framers of requests: the same requests in any pieces.
pub(crate) fn proxy_requests(bytes: &[u8]) {
    let (choice, input) = chosen(bytes);
    let framer = || match choice % 2 {
        0 => RequestFramer::memcached(),
        _ => RequestFramer::resp(),
    };
    let whole = framed(framer(), &mut std::iter::once(input));
    let cut = framed(framer(), &mut pieces(choice / 2, input));
    if input.len() < 2000 {
        assert_eq!(cut, whole);
    }
}
