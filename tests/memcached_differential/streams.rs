//! Random streams of requests of memcached's three protocols, from a number.
//!
//! A stream is a few requests on keys of its own, so that streams share a server. Valid ones keep to what all versions of
//! memcached answer alike; in the others fields are wrong, missing or too many, and lengths are not those of the values.

use fastrand::Rng;

/// The protocol of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Meta,
    Binary,
}

pub(crate) const FORMS: [Form; 3] = [Form::Text, Form::Meta, Form::Binary];

/// The requests of a stream, each as it is sent.
pub(crate) fn stream(form: Form, valid: bool, number: u64) -> Vec<Vec<u8>> {
    let mut random = Rng::with_seed(number);
    let (steps, adds_nothing) = (goes_in_steps(valid, number), random.bool());
    let mut words = Words {
        form,
        number,
        valid,
        reads: steps || adds_nothing,
        adds: steps || !adds_nothing,
        random: random.fork(),
    };
    let count = random.usize(2..12);
    let requests = (0..count).map(|_| match form {
        Form::Text => words.text(),
        Form::Meta => words.meta(),
        Form::Binary => words.binary(),
    });
    let mut requests: Vec<Vec<u8>> = requests.collect();
    requests.extend(NAMES.map(|name| reading(form, &format!("{name}{form:?}{number}"))));
    requests
}

/// The beginnings of the names of a stream's keys. The last one is for mistakes.
const NAMES: [&str; 3] = ["a", "b", "k\u{1}"];

/// A request for an item at the end of a stream, which shows what requests without a reply have done.
fn reading(form: Form, key: &str) -> Vec<u8> {
    match form {
        Form::Text => format!("get {key}\r\n").into(),
        Form::Meta => format!("mg {key} v f t\r\n").into(),
        Form::Binary => {
            let length = key.len() as u8;
            let mut frame = vec![0x80, 0, 0, length, 0, 0, 0, 0, 0, 0, 0, length];
            frame.extend([0; 12]);
            [&frame, key.as_bytes()].concat()
        }
    }
}

/// Whether the requests of a stream are sent one by one, each when the one before it was answered. A wrong length could
/// leave the next request unanswered, so only valid streams are.
pub(crate) fn goes_in_steps(valid: bool, number: u64) -> bool {
    valid && number.is_multiple_of(2)
}

struct Words {
    form: Form,
    number: u64,
    valid: bool,
    /// Whether the stream reads items.
    reads: bool,
    /// Whether it adds to numbers.
    adds: bool,
    random: Rng,
}

impl Words {
    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        self.random.choice(from).copied().unwrap_or_default()
    }

    /// Whether this is a moment for a mistake.
    fn errs(&mut self) -> bool {
        !self.valid && self.random.u8(0..8) == 0
    }

    /// One of the stream's keys.
    fn key(&mut self) -> String {
        if self.errs() {
            let own = format!("{:?}{}", self.form, self.number);
            // Of one that is not too long no other stream may see what has become of it.
            let long = format!("{own:k<length$}", length = self.random.usize(249..253));
            let controlled = format!("k\u{1}{own}");
            return self.pick(&[&controlled, &long]).to_owned();
        }
        self.known_key()
    }

    fn known_key(&mut self) -> String {
        format!("{}{:?}{}", self.pick(&NAMES[..2]), self.form, self.number)
    }

    fn flags(&mut self) -> &'static str {
        match self.errs() {
            true => self.pick(&["-1", "x", "4294967296", "1.5", ""]),
            false => self.pick(&["0", "0", "7", "4294967295"]),
        }
    }

    fn exptime(&mut self) -> &'static str {
        match self.errs() {
            true => self.pick(&["x", "1x", "99999999999", ""]),
            false => self.pick(&["0", "0", "0", "1000", "-1", "2592001"]),
        }
    }

    fn amount(&mut self) -> &'static str {
        match self.errs() {
            true => self.pick(&["-1", "x", "18446744073709551616", ""]),
            false => self.pick(&["1", "10", "0", "18446744073709551615"]),
        }
    }

    fn value(&mut self) -> Vec<u8> {
        let long = "long".repeat(self.random.usize(1..100));
        let value = self.pick(&["1", "10", "99", "x", "", "a value", "\r\nEND\r\n", &long]);
        value.as_bytes().to_vec()
    }

    /// The announced length of a value.
    fn length(&mut self, value: &[u8]) -> String {
        if self.errs() {
            let near = value.len() + self.random.usize(0..3);
            return match self.random.u8(0..4) {
                0 => "-1".into(),
                1 => "x".into(),
                2 => String::new(),
                _ => near.to_string(),
            };
        }
        value.len().to_string()
    }

    /// The end of a line, perhaps behind `noreply` or a stray word.
    fn end(&mut self, noreply: bool) -> &'static str {
        if self.errs() {
            return self.pick(&["\n", " \r\n", "  noreply\r\n"]);
        }
        match noreply && self.random.u8(0..6) == 0 {
            true => " noreply\r\n",
            false => "\r\n",
        }
    }

    fn text(&mut self) -> Vec<u8> {
        let key = self.key();
        match self.random.u8(0..12) {
            0..5 => {
                let verb = self.pick(&["set", "set", "add", "replace", "append", "prepend"]);
                let value = self.value();
                let (flags, exptime) = (self.flags(), self.exptime());
                let (length, end) = (self.length(&value), self.end(true));
                let line = format!("{verb} {key} {flags} {exptime} {length}{end}");
                [line.as_bytes(), &value, b"\r\n"].concat()
            }
            5 => {
                let value = self.value();
                let (flags, exptime) = (self.flags(), self.exptime());
                let (length, end) = (self.length(&value), self.end(true));
                let unique = self.pick(&["4000000000", "18446744073709551615"]);
                let line = format!("cas {key} {flags} {exptime} {length} {unique}{end}");
                [line.as_bytes(), &value, b"\r\n"].concat()
            }
            6..8 if self.reads => {
                let verb = self.pick(&["get", "gets", "get"]);
                let key = self.known_key();
                let other = self.known_key();
                let keys = self.random.usize(0..3);
                let keys = [&*key, &*other, "none"][..=keys].join(" ");
                format!("{verb} {keys}{}", self.end(false)).into()
            }
            8 if self.reads => {
                let (verb, exptime, end) =
                    (self.pick(&["gat", "gats"]), self.exptime(), self.end(false));
                let key = self.known_key();
                format!("{verb} {exptime} {key}{end}").into()
            }
            9 => format!("delete {key}{}", self.end(true)).into(),
            10 if self.adds => {
                let (verb, amount, end) =
                    (self.pick(&["incr", "decr"]), self.amount(), self.end(true));
                format!("{verb} {key} {amount}{end}").into()
            }
            _ if self.errs() => {
                let line = self.pick(&[
                    "",
                    "nope",
                    "get",
                    "set a",
                    "incr a",
                    "touch a",
                    "gat",
                    "GET a",
                    "mn x",
                    "verbosity",
                ]);
                format!("{line}\r\n").into()
            }
            _ => {
                let (exptime, end) = (self.exptime(), self.end(true));
                format!("touch {key} {exptime}{end}").into()
            }
        }
    }

    /// Some of these flags, behind spaces.
    fn some(&mut self, flags: &[&str]) -> String {
        let mut chosen = String::new();
        for flag in flags {
            if self.random.u8(0..3) == 0 {
                chosen.push(' ');
                chosen.push_str(flag);
            }
        }
        if self.errs() {
            chosen.push_str(
                self.pick(&[" z", " T", " Tx", " v v", " b", " MZ", " Dx", " N", " q q"]),
            );
        }
        chosen
    }

    fn meta(&mut self) -> Vec<u8> {
        let key = self.key();
        let end = self.end(false);
        match self.random.u8(0..10) {
            0..4 if self.reads => {
                let flags = [
                    "v", "f", "c", "t", "k", "s", "O5", "q", "T1000", "N6000", "R2500", "h",
                ];
                let flags = self.some(&flags);
                format!("mg {key}{flags}{end}").into()
            }
            4..7 => {
                let value = self.value();
                let length = self.length(&value);
                let mode = self.pick(&["", " MS", " ME", " MA", " MP", " MR", " MS"]);
                let flags = self.some(&["F7", "T2000", "k", "O6", "q", "I", "C4000000000", "c"]);
                let line = format!("ms {key} {length}{mode}{flags}{end}");
                [line.as_bytes(), &value, b"\r\n"].concat()
            }
            7 => {
                let flags = self.some(&["k", "O7", "q", "I", "T3000", "C4000000000"]);
                format!("md {key}{flags}{end}").into()
            }
            8 if self.adds => {
                let mode = self.pick(&["", " MI", " MD", " M+", " M-"]);
                let flags = self.some(&["v", "t", "c", "k", "O8", "N0", "J7", "D3"]);
                format!("ma {key}{mode}{flags}{end}").into()
            }
            _ => format!("mn{end}").into(),
        }
    }

    fn binary(&mut self) -> Vec<u8> {
        // get set add replace delete incr decr noop getk append prepend, quiet ones, touch gat gatk
        let opcodes = [
            0x00, 0x01, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0a, 0x0c, 0x0e, 0x0f, 0x09, 0x0d,
            0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x19, 0x1a, 0x1c, 0x1d, 0x1e, 0x23, 0x24,
        ];
        let mut opcode = *self.random.choice(&opcodes).unwrap_or(&0);
        // memcached holds the item until the reply is sent, that of a touch as well.
        let reads = [0x00, 0x09, 0x0c, 0x0d, 0x1c, 0x1d, 0x1e, 0x23, 0x24].contains(&opcode);
        let adds = [0x05, 0x06, 0x15, 0x16].contains(&opcode);
        if reads && !self.reads || adds && !self.adds {
            opcode = 0x0a;
        }
        let mut key = self.key().into_bytes();
        let (mut extras, mut value) = (Vec::new(), Vec::new());
        let exptime = *self.random.choice(&[0_u32, 0, 1000]).unwrap_or(&0);
        match opcode {
            0x01 | 0x02 | 0x03 | 0x11..=0x13 => {
                extras = [7_u32.to_be_bytes(), exptime.to_be_bytes()].concat();
                value = self.value();
            }
            0x0e | 0x0f | 0x19 | 0x1a => value = self.value(),
            0x05 | 0x06 | 0x15 | 0x16 => {
                let exptime = self.random.choice([0, u32::MAX]).unwrap_or(0);
                let initial = self.random.u64(0..20);
                extras = [
                    &3_u64.to_be_bytes()[..],
                    &initial.to_be_bytes(),
                    &exptime.to_be_bytes(),
                ]
                .concat();
            }
            0x1c..=0x1e | 0x23 | 0x24 => extras = exptime.to_be_bytes().to_vec(),
            0x0a => key.clear(),
            _ => {}
        }
        if self.errs() {
            match self.random.u8(0..4) {
                0 => extras.extend([0; 4]),
                1 => key.clear(),
                2 => extras.clear(),
                _ => {
                    opcode = self.random.u8(0x25..0x60);
                    (extras, key, value) = Default::default();
                }
            }
        }
        let cas: u64 = *self.random.choice(&[0, 0, 0, 4_000_000_000]).unwrap_or(&0);
        let body = (extras.len() + key.len() + value.len()) as u32;
        let mut out = vec![0x80, opcode];
        out.extend((key.len() as u16).to_be_bytes());
        out.extend([extras.len() as u8, 0, 0, 0]);
        out.extend(body.to_be_bytes());
        out.extend(self.random.u32(..).to_be_bytes());
        out.extend(cas.to_be_bytes());
        [out, extras, key, value].concat()
    }
}
