//! Draws commands by chance.

/// The sources of a command's words: the capital letters of [`SHAPES`].
const WORDS: &[(&str, &[&str])] = &[
    ("K", &["a", "b", "c", "user:1", ""]),
    ("F", &["f", "g", "h", "10", ""]),
    (
        "V",
        &[
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
        ],
    ),
    (
        "N",
        &[
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
        ],
    ),
    (
        "X",
        &[
            "0.1", "1", "-2.5", "1e3", "1e-3", "x", "inf", "0x1p-2", "1e17", "nan", "3.",
        ],
    ),
    (
        "P",
        &[
            "*", "a*", "[a-c]", "?", "*:*", "[^a]", "user:?", "", "\\a", "**",
        ],
    ),
    ("D", &["0", "1", "2", "15", "16", "-1", "x"]),
    // Times so far in the future that none passes in between, and almost never the same twice.
    (
        "S",
        &["~", "~", "~", "~", "0", "-1", "x", "9223372036854775807"],
    ),
    (
        "T",
        &["33177117421", "33177117422", "33177117423", "1", "0", "x"],
    ),
    (
        "M",
        &[
            "33177117421000",
            "33177117422000",
            "33177117423500",
            "1",
            "-5",
            "x",
        ],
    ),
    ("C", &["NX", "XX", "GT", "LT", "nx", "FOO"]),
    (
        "O",
        &[
            "NX", "XX", "GET", "KEEPTTL", "EX S", "PX S", "EXAT T", "PXAT M", "EX", "FOO",
        ],
    ),
    (
        "G",
        &["PERSIST", "EX S", "PX S", "EXAT T", "PXAT M", "EX", "FOO"],
    ),
    ("L", &["LEN", "IDX", "MINMATCHLEN N", "WITHMATCHLEN", "FOO"]),
    ("Q", &["REPLACE", "DB D", "FOO", "DB"]),
    (
        "A",
        &[
            "MATCH P",
            "COUNT 1000",
            "TYPE string",
            "TYPE hash",
            "COUNT N",
            "FOO bar",
        ],
    ),
    (
        "B",
        &["MATCH P", "COUNT 1000", "COUNT N", "MATCH", "TYPE hash"],
    ),
    // For clients that share two keys, and the databases between which they move.
    ("W", &["k", "x"]),
    ("E", &["0", "1"]),
    ("R", &["ON", "OFF", "SKIP", "FOO"]),
    (
        "H",
        &[
            "SETNAME one",
            "SETNAME two",
            "AUTH default any",
            "AUTH someone any",
            "SETNAME",
            "FOO",
        ],
    ),
    (
        "Y",
        &[
            "ENCODING none",
            "REFCOUNT none",
            "FREQ K",
            "IDLETIME none",
            "FOO K",
            "ENCODING",
        ],
    ),
];

/// The commands, each as often as it stands here. `+` repeats the word before it up to three times, `*` also never.
pub(crate) const SHAPES: &[&str] = &[
    "GET K",
    "GET K",
    "SET K V",
    "SET K V",
    "SET K V",
    "SET K V O*",
    "SET K V O*",
    "SETNX K V",
    "SETEX K S V",
    "PSETEX K S V",
    "GETSET K V",
    "GETDEL K",
    "GETEX K G*",
    "MGET K+",
    "MSET K V",
    "MSET K V K V",
    "MSETNX K V K V",
    "MSETNX K V",
    "APPEND K V",
    "STRLEN K",
    "GETRANGE K N N",
    "SUBSTR K N N",
    "SETRANGE K 3 V",
    "SETRANGE K -1 V",
    "LCS K K L*",
    "INCR K",
    "DECR K",
    "INCRBY K N",
    "DECRBY K N",
    "INCRBYFLOAT K X",
    "INCRBYFLOAT K X",
    "DEL K+",
    "UNLINK K",
    "EXISTS K+",
    "TOUCH K+",
    "TYPE K",
    "KEYS P",
    "SCAN 0 A* COUNT 1000",
    "RENAME K K",
    "RENAMENX K K",
    "COPY K K Q*",
    "MOVE K D",
    "SELECT D",
    "OBJECT Y",
    "EXPIRE K S C*",
    "PEXPIRE K S C*",
    "EXPIREAT K T C*",
    "PEXPIREAT K M C*",
    "TTL K",
    "PTTL K",
    "EXPIRETIME K",
    "PEXPIRETIME K",
    "PERSIST K",
    "HSET K F V",
    "HSET K F V",
    "HSET K F V F V",
    "HSET K F V F V F V",
    "HMSET K F V F V",
    "HSETNX K F V",
    "HGET K F",
    "HMGET K F+",
    "HGETALL K",
    "HGETALL K",
    "HDEL K F+",
    "HDEL K F+",
    "HLEN K",
    "HEXISTS K F",
    "HKEYS K",
    "HVALS K",
    "HSTRLEN K F",
    "HINCRBY K F N",
    "HINCRBYFLOAT K F X",
    "HSCAN K 0 B*",
    "HRANDFIELD K 100",
    "HRANDFIELD K 100 WITHVALUES",
    "HRANDFIELD K 0",
    "HRANDFIELD K x",
];

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
    let mut words = Vec::new();
    for word in chance.pick(shapes).split(' ') {
        let (class, times) = if let Some(class) = word.strip_suffix('+') {
            (class, 1 + chance.below(3))
        } else if let Some(class) = word.strip_suffix('*') {
            (class, chance.below(4) * chance.below(2))
        } else {
            (word, 1)
        };
        for _ in 0..times {
            push(&mut words, class, chance);
        }
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

fn push(words: &mut Vec<String>, class: &str, chance: &mut Chance) {
    match WORDS.iter().find(|(name, _)| *name == class) {
        None if class == "~" => words.push((1_000_000 + chance.below(1_000_000_000)).to_string()),
        None => words.push(class.to_owned()),
        Some(("P" | "V" | "K" | "F" | "W" | "E", values)) => {
            words.push(chance.pick(values).to_owned())
        }
        Some((_, values)) => {
            for word in chance.pick(values).split(' ') {
                push(words, word, chance);
            }
        }
    }
}

/// A text of up to `most` letters.
pub(crate) fn text(chance: &mut Chance, letters: &[&str], most: usize) -> String {
    let length = chance.below(most + 1);
    (0..length).map(|_| chance.pick(letters)).collect()
}
