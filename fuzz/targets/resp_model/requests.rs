//! Commands made of decisions. Most are valid. They are on a few keys and fields, so that they meet the state that others have left.

use std::sync::LazyLock;

use super::super::choices::Choices;
use super::super::command_shapes::{
    COMMON, CONDITIONS, GETEX_OPTIONS, SET_OPTIONS,
    Values::{self, Shapes, Words as OneOf},
    words,
};

/// The words of a command.
pub(crate) type Words = Vec<String>;

/// The values of the letters in shapes.
const SOURCES: &[(&str, Values)] = &[
    ("K", OneOf(&["a", "b", "c", "d"])),
    ("F", OneOf(&["f", "g", "f1", "f77"])),
    (
        "V",
        OneOf(&[
            "1",
            "10",
            "-3",
            "x",
            "hello",
            "",
            "3.5",
            " 1",
            "9223372036854775807",
            "00",
        ]),
    ),
    (
        "N",
        OneOf(&[
            "1",
            "0",
            "-1",
            "2",
            "5",
            "-7",
            "100",
            "9223372036854775807",
            "-9223372036854775808",
            "x",
        ]),
    ),
    // Offsets that need no large value.
    ("B", OneOf(&["0", "1", "-1", "x", "20"])),
    ("X", OneOf(&["0.5", "-1.5", "3", "10.0", "x"])),
    ("D", OneOf(&["0", "1"])),
    (
        "S",
        OneOf(&[
            "1",
            "2",
            "100",
            "1000",
            "0",
            "-1",
            "x",
            "9223372036854775807",
        ]),
    ),
    (
        "T",
        OneOf(&["1795000001", "1795000100", "1795001000", "1", "x"]),
    ),
    (
        "M",
        OneOf(&["1795000001500", "1795000100000", "1", "-5", "x"]),
    ),
    ("C", OneOf(CONDITIONS)),
    ("O", Shapes(SET_OPTIONS)),
    ("G", Shapes(GETEX_OPTIONS)),
    ("Q", Shapes(&["REPLACE", "DB D"])),
];

/// The commands, each as often as it is in the list.
static SHAPES: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let own = [
        "SETRANGE K B V",
        "KEYS *",
        "SWAPDB 0 1",
        "FLUSHDB",
        "FLUSHALL",
        "WATCH K",
        "WATCH K K",
        "UNWATCH",
        "MULTI",
        "MULTI",
        "EXEC",
        "EXEC",
        "EXEC",
        "DISCARD",
        "FOO K",
        "PING",
        "FILL K",
        "DEL K",
    ];
    [COMMON, &own].concat()
});

/// The next command. `FILL K` stands for an HSET of many fields.
pub(crate) fn request(choices: &mut Choices<'_>) -> Words {
    let shape = choices.pick(&SHAPES);
    let mut words = words(shape, SOURCES, &mut |bound| choices.below(bound));
    if words[0] == "FILL" {
        return filling(choices, words.pop().unwrap_or_default());
    }
    // Now and then one word too few or too many.
    match choices.below(50) {
        48 if words.len() > 1 => drop(words.pop()),
        49 => words.push("extra".to_owned()),
        _ => {}
    }
    words
}

/// An HSET of up to 400 fields, or seldom of thousands.
fn filling(choices: &mut Choices<'_>, key: String) -> Words {
    let fields = match choices.one_in(8) {
        true => 1500 + choices.below(3000),
        false => choices.below(400),
    };
    let mut words = vec!["HSET".to_owned(), key];
    for field in 0..=fields {
        words.extend([format!("f{field}"), "filled".to_owned()]);
    }
    words
}

/// A command as clients send it.
pub(crate) fn encoded(words: &[String]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len());
    for word in words {
        bytes += &format!("${}\r\n{word}\r\n", word.len());
    }
    bytes.into_bytes()
}
