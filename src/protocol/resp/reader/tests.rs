//! The reader against a naive one, in every cut, and its limits at N and N + 1.

use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits {
    bulk: 1000,
    request: 10_000,
    unauthenticated: false,
};

/// The result of reading an input.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Command(Vec<Vec<u8>>),
    TooLarge,
    Bad(ProtocolError),
    Overflow,
    /// This many bytes have arrived and are neither consumed nor dropped.
    Waiting(usize),
}

/// Reads `input` as it arrives in pieces; bytes that are not consumed come again.
fn read(pieces: &[&[u8]], limits: &Limits) -> Vec<Seen> {
    let mut seen = Vec::new();
    let mut reader = Reader::default();
    let mut held = Vec::new();
    for piece in pieces {
        held.extend_from_slice(piece);
        loop {
            // Another connection of the same worker has used the words meanwhile.
            let mut words = CommandWords::default();
            match reader.read(&held, limits, &mut words) {
                ReadOutcome::Command(length) => {
                    let args = words.args(&held);
                    seen.push(Seen::Command(args.iter().map(<[u8]>::to_vec).collect()));
                    held.drain(..length);
                }
                ReadOutcome::TooLarge(length) => {
                    seen.push(Seen::TooLarge);
                    held.drain(..length);
                }
                ReadOutcome::Incomplete(length) => {
                    held.drain(..length);
                    break;
                }
                ReadOutcome::Bad(error) => {
                    seen.push(Seen::Bad(error));
                    return seen;
                }
                ReadOutcome::Overflow => {
                    seen.push(Seen::Overflow);
                    return seen;
                }
            }
        }
    }
    seen.push(Seen::Waiting(held.len()));
    seen
}

fn whole(input: &[u8]) -> Vec<Seen> {
    read(&[input], &LIMITS)
}

fn bytewise(input: &[u8], limits: &Limits) -> Vec<Seen> {
    read(&input.chunks(1).collect::<Vec<_>>(), limits)
}

fn command(words: &[&[u8]]) -> Seen {
    Seen::Command(words.iter().map(|word| word.to_vec()).collect())
}

/// A command as client libraries write it.
fn encode(words: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n", word.len()).into_bytes());
        bytes.extend(word);
        bytes.extend(b"\r\n");
    }
    bytes
}

/// Pieces of requests, right ones and wrong ones, to be joined at random.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..30), 0..5);
    let odd = prop::sample::select(vec![
        "*",
        "$",
        "*1\r\n",
        "*-1\r\n",
        "*0\r\n",
        "*2\r\n$1",
        "\r\n",
        "\n",
        "\r",
        "\0",
        "$3\r\nabc\r\n",
        "$-1\r\n",
        "*01\r\n",
        "*99999999\r\n",
        "*99999999999999999999\r\n",
        "$1001\r\n",
        "$536870913\r\n",
        "get a\r\n",
        "set k \"a b\"\r\n",
        "set k 'a\\'b'\n",
        "\"\r\n",
        ":1\r\n",
        "1",
        "x",
    ]);
    prop_oneof![
        4 => words.prop_map(|words| encode(&words)),
        1 => (900usize..1100).prop_map(|length| encode(&[vec![b'v'; length], b"k".to_vec()])),
        3 => odd.prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ]
}

proptest! {
    #[test]
    fn written_values_are_read_back(
        commands in prop::collection::vec(
            prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 1..6), 0..10)
    ) {
        let input: Vec<u8> = commands.iter().flat_map(|words| encode(words)).collect();
        let mut expected: Vec<_> = commands.into_iter().map(Seen::Command).collect();
        expected.push(Seen::Waiting(0));
        prop_assert_eq!(whole(&input), expected);
    }

    #[test]
    fn every_cut_of_an_input_reads_the_same(
        fragments in prop::collection::vec(fragment(), 0..8),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let input = fragments.concat();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut start = 0;
        for cut in cuts {
            pieces.push(&input[start..cut]);
            start = cut;
        }
        pieces.push(&input[start..]);
        let expected = whole(&input);
        prop_assert_eq!(read(&pieces, &LIMITS), expected.clone());
        prop_assert_eq!(bytewise(&input, &LIMITS), expected);
    }
}

#[test]
fn a_length_that_is_only_named_takes_no_memory() {
    let input = b"*2147483647\r\n$536870912\r\nabc";
    let limits = Limits {
        bulk: usize::MAX,
        request: usize::MAX,
        ..LIMITS
    };
    let mut reader = Reader::default();
    let mut words = CommandWords::default();
    assert_eq!(
        reader.read(input, &limits, &mut words),
        ReadOutcome::Incomplete(0)
    );
    let (place, kept) = &**reader.partial.as_ref().expect("a command is partly read");
    assert_eq!(place.words, 2_147_483_647);
    assert!(kept.is_empty());
}

#[test]
fn a_bulk_string_over_the_limit_is_dropped_as_it_arrives() {
    let fits = encode(&[vec![b'x'; 1000]]);
    assert_eq!(whole(&fits), [command(&[&[b'x'; 1000]]), Seen::Waiting(0)]);

    let mut input = encode(&[b"set".to_vec(), vec![b'x'; 1001], b"after".to_vec()]);
    input.extend(b"PING\r\n");
    let expected = [Seen::TooLarge, command(&[b"PING"]), Seen::Waiting(0)];
    assert_eq!(whole(&input), expected);
    assert_eq!(bytewise(&input, &LIMITS), expected);

    // Half of it, and no byte is held.
    assert_eq!(whole(&input[..500]), [Seen::Waiting(0)]);
    // Far more than a request may hold, because none of its bytes are kept.
    let input = encode(&[vec![b'x'; 1_000_000], b"y".to_vec()]);
    assert_eq!(whole(&input), [Seen::TooLarge, Seen::Waiting(0)]);
}

#[test]
fn a_request_over_the_limit_overflows_before_it_has_arrived() {
    let words = |count| encode(&vec![vec![b'x'; 990]; count]);
    assert_eq!(whole(&words(10)).len(), 2);
    for input in [&words(11)[..], &words(11)[..10_000]] {
        assert_eq!(whole(input), [Seen::Overflow]);
        assert_eq!(bytewise(input, &LIMITS), [Seen::Overflow]);
    }
}

#[test]
fn a_line_that_waits_for_its_end_has_a_longest_length() {
    let line = |prefix: &str, fill: u8, length: usize| {
        let mut line = prefix.as_bytes().to_vec();
        line.resize(prefix.len() + length, fill);
        line
    };
    let limits = Limits {
        request: 100_000,
        ..LIMITS
    };
    let word = vec![b'a'; MAX_LINE + 1];
    for (prefix, fill, error, with_its_end) in [
        ("", b'a', ProtocolError::InlineTooBig, command(&[&word])),
        (
            "*",
            b'1',
            ProtocolError::CountTooBig,
            Seen::Bad(ProtocolError::InvalidCount),
        ),
        (
            "*1\r\n$",
            b'1',
            ProtocolError::LengthTooBig,
            Seen::Bad(ProtocolError::InvalidLength),
        ),
    ] {
        let whole_prefix = usize::from(!prefix.is_empty());
        let fits = line(prefix, fill, MAX_LINE - whole_prefix);
        assert_eq!(
            read(&[&fits], &limits),
            [Seen::Waiting(fits.len())],
            "{prefix:?}"
        );
        let too_long = line(prefix, fill, MAX_LINE - whole_prefix + 1);
        assert_eq!(
            read(&[&too_long], &limits),
            [Seen::Bad(error)],
            "{prefix:?}"
        );
        // As in Redis, only a line that waits for its end is too long.
        let ended = [&too_long[..], b"\r\n"].concat();
        assert_eq!(read(&[&ended], &limits)[0], with_its_end, "{prefix:?}");
    }
    let over_the_request = [&line("", b'a', 100_001)[..], b"\r\n"].concat();
    assert_eq!(read(&[&over_the_request], &limits), [Seen::Overflow]);
}

#[test]
fn a_million_commands_in_one_packet() {
    let input = b"*1\r\n$1\r\nx\r\n".repeat(1_000_000);
    let mut reader = Reader::default();
    let mut words = CommandWords::default();
    let (mut at, mut commands) = (0, 0);
    while let ReadOutcome::Command(length) = reader.read(&input[at..], &LIMITS, &mut words) {
        at += length;
        commands += 1;
    }
    assert_eq!((at, commands), (input.len(), 1_000_000));
}

#[test]
fn half_a_command_costs_little_and_none_costs_a_pointer() {
    assert_eq!(size_of::<Reader>(), 8);
    assert!(size_of::<(PartialCommand, CommandWords)>() <= 128);
}
