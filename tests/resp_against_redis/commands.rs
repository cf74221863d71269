//! Draws commands by chance.

#[path = "../../fuzz/targets/command_shapes.rs"]
mod command_shapes;

use std::sync::LazyLock;

use command_shapes::{
    COMMON, CONDITIONS, GETEX_OPTIONS, SET_OPTIONS,
    Values::{self, Shapes, Words as OneOf},
    words,
};

/// The values of the letters in shapes.
const SOURCES: &[(&str, Values)] = &[
    ("K", OneOf(&["a", "b", "c", "user:1", ""])),
    ("F", OneOf(&["f", "g", "h", "10", ""])),
    (
        "V",
        OneOf(&[
            "1",
            "10",
            "-3",
            "x",
            "hello",
            "aab",
            "",
            "3.5",
            "0",
            "9223372036854775807",
            " 1",
        ]),
    ),
    (
        "N",
        OneOf(&[
            "0",
            "1",
            "-1",
            "2",
            "5",
            "-7",
            "100",
            "9223372036854775807",
            "x",
            "01",
        ]),
    ),
    (
        "X",
        OneOf(&[
            "0.1", "1", "-2.5", "1e3", "1e-3", "x", "inf", "0x1p-2", "1e17", "nan", "3.",
        ]),
    ),
    (
        "P",
        OneOf(&[
            "*", "a*", "[a-c]", "?", "*:*", "[^a]", "user:?", "", "\\a", "**",
        ]),
    ),
    ("D", OneOf(&["0", "1", "2", "15", "16", "-1", "x"])),
    // `~` stands for a time so far in the future that it doesn't come during a test, and two are almost always a minute apart.
    (
        "S",
        OneOf(&["~", "~", "~", "~", "0", "-1", "x", "9223372036854775807"]),
    ),
    (
        "T",
        OneOf(&["33177117421", "33177118421", "33177119421", "1", "0", "x"]),
    ),
    (
        "M",
        OneOf(&[
            "33177117421000",
            "33177118421000",
            "33177119421500",
            "1",
            "-5",
            "x",
        ]),
    ),
    ("C", OneOf(CONDITIONS)),
    ("O", Shapes(SET_OPTIONS)),
    ("G", Shapes(GETEX_OPTIONS)),
    (
        "L",
        Shapes(&["LEN", "IDX", "MINMATCHLEN N", "WITHMATCHLEN", "FOO"]),
    ),
    ("Q", Shapes(&["REPLACE", "DB D", "FOO", "DB"])),
    (
        "A",
        Shapes(&[
            "MATCH P",
            "COUNT 1000",
            "TYPE string",
            "TYPE hash",
            "COUNT N",
            "FOO bar",
        ]),
    ),
    (
        "B",
        Shapes(&["MATCH P", "COUNT 1000", "COUNT N", "MATCH", "TYPE hash"]),
    ),
    // For clients that share two keys, and the databases between which they move.
    ("W", OneOf(&["k", "x"])),
    ("E", OneOf(&["0", "1"])),
    ("R", OneOf(&["ON", "OFF", "SKIP", "FOO"])),
    (
        "H",
        Shapes(&[
            "SETNAME one",
            "SETNAME two",
            "AUTH default any",
            "AUTH someone any",
            "SETNAME",
            "FOO",
        ]),
    ),
    (
        "Y",
        Shapes(&[
            "ENCODING none",
            "REFCOUNT none",
            "FREQ K",
            "IDLETIME none",
            "FOO K",
            "ENCODING",
        ]),
    ),
];

/// The commands, each as often as it is in the list.
pub(crate) static SHAPES: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let own = [
        "SET K V",
        "MSET K V",
        "MSETNX K V",
        "SUBSTR K N N",
        "SETRANGE K -1 V",
        "LCS K K L*",
        "INCRBYFLOAT K X",
        "KEYS P",
        "SCAN 0 A* COUNT 1000",
        "OBJECT Y",
        "HSET K F V",
        "HINCRBYFLOAT K F X",
        "HSCAN K 0 B*",
        "HRANDFIELD K 100",
        "HRANDFIELD K 100 WITHVALUES",
        "HRANDFIELD K 0",
        "HRANDFIELD K x",
    ];
    [COMMON, &own].concat()
});

/// The commands of clients that watch two keys and change them. Their answers all have an order.
pub(crate) const SHARED: &[&str] = &[
    "WATCH W",
    "WATCH W",
    "WATCH W W",
    "UNWATCH",
    "MULTI",
    "MULTI",
    "EXEC",
    "EXEC",
    "EXEC",
    "DISCARD",
    "SET W V",
    "SET W V",
    "SET W V NX",
    "SET W V PXAT 1",
    "SETNX W V",
    "MSET W V W V",
    "GET W",
    "GETEX W PXAT 1",
    "GETDEL W",
    "APPEND W V",
    "INCR W",
    "DEL W",
    "DEL W",
    "EXISTS W",
    "HSET W f 1",
    "HDEL W f",
    "EXPIRE W 1000000",
    "EXPIRE W -1",
    "PERSIST W",
    "RENAME W W",
    "RENAMENX W W",
    "COPY W W",
    "COPY W W REPLACE",
    "MOVE W E",
    "SELECT E",
    "SWAPDB E E",
    "SWAPDB 0 1",
    "FLUSHDB",
    "FLUSHALL",
    "RESET",
    "FOO",
    "PING",
    "CLIENT REPLY R",
    "CLIENT REPLY ON",
    "CLIENT REPLY ON",
    "CLIENT GETNAME",
    "HELLO 2 H*",
    "HELLO 3 H*",
    "HELLO 4 H*",
];

/// Numbers by chance, the same ones for the same seed (xorshift64*).
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Chance {
        Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound as u64) as usize
    }

    pub(crate) fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

/// Draws a command of one of the shapes.
pub(crate) fn command(chance: &mut Chance, shapes: &[&str]) -> Vec<String> {
    let shape = chance.pick(shapes);
    let mut words = words(shape, SOURCES, &mut |bound| chance.below(bound));
    for word in words.iter_mut().filter(|word| *word == "~") {
        *word = (1_000_000 + chance.below(1_000_000_000)).to_string();
    }
    // Now and then one word too few or too many.
    match chance.below(50) {
        0 => drop(words.pop()),
        1 => words.push("extra".to_owned()),
        _ => {}
    }
    if words.is_empty() {
        words.push("PING".to_owned());
    }
    words
}

/// A text of up to `most` letters.
pub(crate) fn text(chance: &mut Chance, letters: &[&str], most: usize) -> String {
    let length = chance.below(most + 1);
    (0..length).map(|_| chance.pick(letters)).collect()
}
