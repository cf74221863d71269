//! Properties of the parser, and the limits at N and N + 1.

use super::*;
use proptest::prelude::*;

/// Lines near the grammar: verbs, keys, numbers, stray words and bytes.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let every_verb = prop::sample::select(verb_names().collect::<Vec<_>>());
    let verb = prop_oneof![4 => Just("get"), 4 => Just("set"), 4 => Just("mg"), 12 => every_verb, 1 => Just("gett")];
    let word = prop_oneof![
        6 => "[a-z]{1,3}".prop_map(String::into_bytes),
        6 => "[0-9]{1,11}".prop_map(String::into_bytes),
        1 => "[-+]?[0-9]{1,21}".prop_map(String::into_bytes),
        1 => Just(b"noreply".to_vec()),
        1 => Just(b"0".to_vec()),
        4 => "[bNTRlOPLkstcfvhuqxFCEMJDIn][0-9A-Z]{0,2}".prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 1..4),
        1 => (249usize..253).prop_map(|length| vec![b'k'; length]),
    ];
    let gap = prop_oneof![9 => Just(" "), 1 => Just("  "), 1 => Just("\t")];
    let words = proptest::collection::vec((gap, word), 0..7);
    let end = prop_oneof![8 => Just("\r\n"), 1 => Just("\n"), 1 => Just(" \r\n"), 1 => Just("")];
    (verb, words, end).prop_map(|(verb, words, end)| {
        let mut line = verb.as_bytes().to_vec();
        for (gap, word) in words {
            line.extend_from_slice(gap.as_bytes());
            line.extend_from_slice(&word);
        }
        line.extend_from_slice(end.as_bytes());
        line
    })
}

fn nesting() -> impl Strategy<Value = Nesting> {
    prop_oneof![
        Just(Nesting::Off),
        Just(Nesting::On),
        Just(Nesting::Unknown)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn scanner_and_grammar_read_a_line_alike(input in line(), nesting in nesting()) {
        if let Some((command, consumed)) = scanner::scan(&input, nesting) {
            prop_assert_eq!(parse_line(&input, 0, nesting), Parsed::Done { command, consumed });
        }
    }

    #[test]
    fn any_cut_of_a_line_gives_the_same_outcome(input in line(), nesting in nesting()) {
        let whole = parse(&input, 0, nesting);
        for cut in 0..input.len() {
            let part = parse(&input[..cut], 0, nesting);
            if part == Parsed::More {
                prop_assert_eq!(parse(&input, cut, nesting), whole);
            } else {
                prop_assert_eq!(part, whole);
            }
        }
    }

    #[test]
    fn no_bytes_make_the_parser_consume_more_than_its_input(
        input in proptest::collection::vec(any::<u8>(), 0..64), nesting in nesting(),
    ) {
        if let Parsed::Done { consumed, .. } | Parsed::Bad { consumed, .. } =
            parse(&input, 0, nesting)
        {
            prop_assert!(consumed <= input.len());
            prop_assert_eq!(input[consumed - 1], b'\n');
        }
    }

    #[test]
    fn a_data_block_needs_its_length_and_two(
        input in proptest::collection::vec(any::<u8>(), 0..16), length in 0usize..20,
    ) {
        match data_block(&input, length) {
            Block::More { needed } => prop_assert!(needed > input.len() && needed == length + 2),
            Block::Done { value, consumed } => {
                prop_assert_eq!(value, &input[..length]);
                prop_assert_eq!(&input[length..consumed], b"\r\n");
            }
            Block::Bad { consumed } => {
                prop_assert_eq!(consumed, length + 2);
                prop_assert_ne!(&input[length..consumed], b"\r\n");
            }
        }
    }
}

/// The command of a whole line, or its reply.
fn read(line: &[u8], nesting: Nesting) -> Result<Command<'_>, &'static [u8]> {
    match parse(line, 0, nesting) {
        Parsed::Done { command, consumed } => {
            assert_eq!(consumed, line.len());
            Ok(command)
        }
        Parsed::Bad { reply, then, .. } => {
            assert_ne!(then, AfterBadLine::Close);
            Err(reply)
        }
        Parsed::More => panic!("incomplete: {}", line.escape_ascii()),
    }
}

#[test]
fn the_scanner_takes_the_usual_get_and_set() {
    assert!(scanner::scan(b"mg user:42 v c T30\r\nmg b\r\n", Nesting::On).is_some());
    assert!(scanner::scan(b"get user:42\r\nget b\r\n", Nesting::On).is_some());
    assert!(scanner::scan(b"set user:42 4294967 3600 100\r\n", Nesting::On).is_some());
    assert!(scanner::scan(b"set user:42 0 0 100 noreply\r\n", Nesting::On).is_some());
    let several = b"get user:42 user:43  user:44\r\nget b\r\n";
    assert!(scanner::scan(several, Nesting::On).is_some());
    for declined in [
        &b"get a b\n"[..],
        b"get a b",
        b"get a",
        b"get a\r",
        b"mg a v",
        b"mg a v\rx\r\n",
        b"mg a 1\r\n",
        b"mg \r\n",
        b"get \r\n",
        b"set a 0 0 1 no\r\n",
    ] {
        assert_eq!(
            scanner::scan(declined, Nesting::On),
            None,
            "{}",
            declined.escape_ascii()
        );
    }
}

#[test]
fn fields_are_read_from_the_right_end_with_nested_keys() {
    let on = |line| read(line, Nesting::On);
    let path = |words| Words::new(words);
    let Ok(Command::Store(store)) = on(b"set user 42 0 0 5\r\n") else {
        panic!("a storage command");
    };
    assert_eq!((store.path, store.length), (path(b"user 42"), 5));
    assert!(matches!(
        on(b"incr a b 5 noreply\n"),
        Ok(Command::Key(KeyCommand { noreply: true, .. }))
    ));
    for (line, words, noreply) in [
        (&b"delete a\r\n"[..], &b"a"[..], false),
        (b"delete a 0\r\n", b"a", false),
        (b"delete a noreply\r\n", b"a", true),
        (b"delete a 0 noreply\r\n", b"a", true),
        (b"delete a b\r\n", b"a b", false),
        (b"delete a b noreply\r\n", b"a b", true),
        (b"delete a b 0\r\n", b"a b 0", false),
        (b"deln a 0\r\n", b"a 0", false),
        (b"deln a noreply\r\n", b"a noreply", false),
    ] {
        let path = path(words);
        assert_eq!(
            on(line),
            Ok(Command::Key(KeyCommand {
                path,
                action: KeyAction::Delete,
                noreply
            })),
            "{}",
            line.escape_ascii()
        );
    }
}

#[test]
fn without_nested_keys_a_path_is_read_as_memcached_reads_it() {
    let off = |line| read(line, Nesting::Off);
    assert!(matches!(
        off(b"set a 0 0 1 stray\r\n"),
        Ok(Command::Store(_))
    ));
    assert_eq!(off(b"set a b 0 0 1\r\n"), Err(reply::BAD_FORMAT));
    assert_eq!(off(b"set a b c 0 0 1\r\n"), Err(reply::BAD_FORMAT));
    assert_eq!(off(b"delete a b\r\n"), Err(reply::BAD_FORMAT));
    assert_eq!(off(b"delete a b noreply\r\n"), Err(&b""[..]));
    assert_eq!(off(b"getn a\r\n"), Err(reply::ERROR));
}

#[test]
fn a_value_that_is_longer_with_nested_keys_or_without_is_refused_if_the_server_may_have_either() {
    for (line, length) in [
        (&b"set 0s 0 0 6 0\r\n"[..], 6),
        (b"append a 0 0 6 7\r\n", 6),
        (b"cas a 0 0 6 0 1\r\n", 6),
        (b"set a 0 0 0 99999999\r\n", 0),
    ] {
        assert!(read(line, Nesting::Off).is_ok());
        let refused = parse(line, 0, Nesting::Unknown);
        let consumed = line.len();
        assert_eq!(
            refused,
            Parsed::Bad {
                reply: reply::BAD_FORMAT,
                consumed,
                then: AfterBadLine::Continue {
                    discard: length + 2
                }
            },
            "{}",
            line.escape_ascii()
        );
    }
    for line in [
        &b"set a 0 0 6 stray\r\n"[..],
        b"set a 0 6 6 6\r\n",
        b"set a 0 0 6 noreply\r\n",
        b"cas a 0 0 6 5\r\n",
        b"set a 0 0 6\r\n",
    ] {
        assert_eq!(read(line, Nesting::Unknown), read(line, Nesting::Off));
        assert!(read(line, Nesting::Unknown).is_ok());
    }
}

#[test]
fn a_key_has_at_most_250_bytes() {
    for nesting in [Nesting::On, Nesting::Off] {
        let key = "k".repeat(KEY_LIMIT);
        for form in [
            "get KEY",
            "get a KEY",
            "set KEY 0 0 1",
            "delete KEY",
            "touch KEY 0",
        ] {
            let fits = form.replace("KEY", &key) + "\r\n";
            let over = form.replace("KEY", &(key.clone() + "k")) + "\r\n";
            assert!(read(fits.as_bytes(), nesting).is_ok(), "{form}");
            assert_eq!(
                read(over.as_bytes(), nesting),
                Err(reply::BAD_FORMAT),
                "{form}"
            );
        }
    }
}

#[test]
fn a_length_has_a_limit() {
    let set = |length: &str| format!("set a 0 0 {length}\r\n");
    assert!(read(set("2147483645").as_bytes(), Nesting::On).is_ok());
    for length in [
        "2147483646",
        "4294967296",
        "-1",
        "99999999999999999999",
        "x",
    ] {
        let line = set(length);
        assert_eq!(
            read(line.as_bytes(), Nesting::On),
            Err(reply::BAD_FORMAT),
            "{length}"
        );
    }
}

#[test]
fn a_line_without_an_end_is_given_up_at_the_limit() {
    let outcome = |input: &[u8]| match parse(input, 0, Nesting::On) {
        Parsed::More => None,
        Parsed::Bad {
            reply,
            then,
            consumed,
        } => {
            assert!(then == AfterBadLine::Close && consumed == input.len());
            Some(reply)
        }
        Parsed::Done { .. } => panic!("a command"),
    };
    let mut line = vec![b'x'; LINE_LIMIT];
    assert_eq!(outcome(&line), None);
    line.push(b'x');
    assert_eq!(outcome(&line), Some(&b""[..]));

    let mut get = b"gets ".to_vec();
    get.resize(GET_LINE_LIMIT, b'k');
    assert_eq!(outcome(&get), None);
    get.push(b'k');
    assert_eq!(outcome(&get), Some(reply::OUT_OF_MEMORY_READING));

    let mut spaces = vec![b' '; LEADING_SPACES];
    spaces.extend_from_slice(&get[..LINE_LIMIT]);
    assert_eq!(outcome(&spaces), None);
    spaces.insert(0, b' ');
    assert_eq!(outcome(&spaces), Some(&b""[..]));
}
