//! HRANDFIELD with a large count, while other clients' commands run between its pieces.

use std::collections::HashSet;

use super::fields_in_pieces::fill;
use super::stepped::{at_once, stepped};
use super::*;

/// The elements of a reply that is an array of bulk strings, which may be in arrays of two.
fn elements(reply: &[u8]) -> Vec<String> {
    let text = String::from_utf8(reply.to_vec()).expect("text");
    let lines = text.lines().skip(1);
    let elements = lines.filter(|line| !line.starts_with(['$', '*']));
    elements.map(str::to_owned).collect()
}

/// The reply of a command that is done in pieces, and their number.
fn ask(session: &mut dyn Session, line: &str, between: impl FnMut()) -> (Vec<u8>, usize) {
    let mut command = stepped(session, &format!("{line}\r\n"));
    let pieces = command.pieces(between);
    command.rest();
    (command.output, pieces)
}

#[test]
fn a_positive_count_gives_so_many_different_fields_and_a_negative_one_exactly_as_many() {
    let mut session = session();
    fill(&mut *session, "big", 5000, 1);
    let all: HashSet<String> = elements(&at_once(&mut *session, "HKEYS big"))
        .into_iter()
        .collect();
    for hello in ["HELLO 2", "HELLO 3"] {
        converse(&mut *session, format!("{hello}\r\n").as_bytes(), 4096);
        for (count, fields, pieces) in [
            (1024, 1024, 0..1),
            (1025, 1025, 16..20),
            (4999, 4999, 78..100),
            (5000, 5000, 19..40),
            (1_000_000, 5000, 19..40),
            (-1024, 1024, 0..1),
            (-20_000, 20_000, 312..320),
        ] {
            let (reply, done) = ask(&mut *session, &format!("HRANDFIELD big {count}"), || {});
            assert!(pieces.contains(&done), "{count}: {done}");
            assert!(reply.starts_with(format!("*{fields}\r\n").as_bytes()));
            let names = elements(&reply);
            let different: HashSet<String> = names.iter().cloned().collect();
            assert_eq!(names.len(), fields);
            assert!(different.is_subset(&all));
            assert!(count < 0 || different.len() == fields);

            let line = format!("HRANDFIELD big {count} WITHVALUES");
            let (reply, _) = ask(&mut *session, &line, || {});
            let expected = at_once(&mut *session, &line);
            let head = |reply: &[u8]| {
                reply
                    .split(|byte| *byte == b'\n')
                    .next()
                    .map(<[u8]>::to_vec)
            };
            assert_eq!(head(&reply), head(&expected));
            for pair in elements(&reply).chunks(2) {
                assert_eq!(pair[0].replace("field", "v"), pair[1]);
            }
        }
    }
}

#[test]
fn fields_that_others_write_meanwhile_are_drawn_once_and_removed_ones_no_more() {
    let service = service(Settings::default());
    let open = || service.open(Peer::detached());
    let (mut one, mut other) = (open(), open());
    fill(&mut *one, "big", 5000, 1);
    let mut number = 0;
    let (reply, pieces) = ask(&mut *one, "HRANDFIELD big 4000", || {
        number += 1;
        let lines: String = (0..12)
            .map(|at| format!("HDEL big field{}\r\n", number * 12 + at))
            .collect();
        converse(
            &mut *other,
            format!("{lines}HSET big new{number} v\r\n").as_bytes(),
            4096,
        );
    });
    assert!(pieces >= 55, "{pieces}");
    let names = elements(&reply);
    let different: HashSet<&String> = names.iter().collect();
    assert_eq!(different.len(), names.len());
    assert!((3500..=4000).contains(&names.len()), "{}", names.len());

    // Fields that are gone are not drawn in later pieces.
    let mut came = false;
    let (reply, _) = ask(&mut *one, "HRANDFIELD big -20000", || {
        if !std::mem::replace(&mut came, true) {
            converse(&mut *other, b"DEL big\r\nHSET big last v\r\n", 4096);
        }
    });
    let names = elements(&reply);
    assert_eq!(names.len(), 20_000);
    assert!(names[1024..].iter().all(|name| name == "last"));
}

#[test]
fn a_hash_that_goes_away_meanwhile_has_no_fields() {
    let service = service(Settings::default());
    let open = || service.open(Peer::detached());
    let (mut one, mut other) = (open(), open());
    for (count, change, expected) in [
        (-5000, "DEL big", "*0\r\n"),
        (3000, "DEL big", "*0\r\n"),
        (6000, "DEL big", "*0\r\n"),
        (
            -5000,
            "SET big v",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
    ] {
        converse(&mut *other, b"DEL big\r\n", 4096);
        fill(&mut *one, "big", 5000, 1);
        let (reply, _) = ask(&mut *one, &format!("HRANDFIELD big {count}"), || {
            converse(&mut *other, format!("{change}\r\n").as_bytes(), 4096);
        });
        assert_eq!(String::from_utf8_lossy(&reply), expected, "{count}");
    }
}
