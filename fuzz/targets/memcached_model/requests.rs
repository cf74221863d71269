//! Requests made of decisions. Most are valid, and all are on a few keys, so that they meet the state that others have left.
//!
//! The classic commands are here, the meta commands in `meta_requests`.

use super::super::choices::Choices;
use super::model::Model;
use super::uniques::Uniques;

/// A request line in words, and the value behind it. The word `{7}` stands for the seventh cas unique of the model.
pub(crate) struct Request {
    pub(crate) words: Vec<String>,
    pub(crate) value: Option<Vec<u8>>,
}

impl Request {
    /// The request as it is sent.
    pub(crate) fn bytes(&self, uniques: &Uniques) -> Vec<u8> {
        let mut bytes = uniques.in_words(&self.words.join(" ")).into_bytes();
        bytes.extend(b"\r\n");
        if let Some(value) = &self.value {
            bytes.extend(value);
            bytes.extend(b"\r\n");
        }
        bytes
    }
}

/// Bytes of the largest item, its name and its value. Some values are larger.
pub(crate) const LARGEST_ITEM: usize = 64 << 10;

/// The paths of all requests. No item has two children, because `getch` shows them in no order.
pub(super) const PATHS: [&str; 8] = ["a", "b", "c", "a", "b", "a x", "b y", "a x z"];
const VALUES: [&str; 10] = [
    "1",
    "99",
    "10",
    "x",
    "",
    "a value",
    "\r\nEND\r\n",
    " 7 x",
    "18446744073709551615",
    "00",
];

/// The next request.
pub(crate) fn request(choices: &mut Choices<'_>, model: &Model, uniques: &Uniques) -> Request {
    let mut maker = Maker {
        choices,
        model,
        uniques,
    };
    match maker.choices.below(5) {
        0 => maker.meta_get(),
        1 => maker.meta_change(),
        _ => maker.classic(),
    }
}

/// Makes a request of decisions, for a model in its present state.
pub(super) struct Maker<'a, 'b> {
    pub(super) choices: &'a mut Choices<'b>,
    model: &'a Model,
    uniques: &'a Uniques,
}

/// A request of this line.
pub(super) fn line(words: &str) -> Request {
    Request {
        words: words.split(' ').map(str::to_owned).collect(),
        value: None,
    }
}

impl Maker<'_, '_> {
    pub(super) fn path(&mut self) -> &'static str {
        self.choices.pick(&PATHS)
    }

    pub(super) fn value(&mut self) -> Vec<u8> {
        match self.choices.below(16) {
            // More than a turn's input, more than half of the largest item, and more than it.
            10 => vec![b'm'; 3000],
            11 => vec![b'l'; 40_000],
            12 => vec![b'h'; 70_000],
            which => VALUES[which % VALUES.len()].into(),
        }
    }

    /// The exptime of an item. An item below another never expires, because the other gets a new cas unique when the expired one is
    /// removed, and the time of that isn't determined.
    fn exptime(&mut self, path: &str) -> &'static str {
        let times = ["0", "0", "0", "1", "2", "100", "-1", "2592001"];
        match path.contains(' ') {
            true => "0",
            false => self.choices.pick(&times),
        }
    }

    fn noreply(&mut self) -> &'static str {
        match self.choices.one_in(6) {
            true => " noreply",
            false => "",
        }
    }

    /// A cas unique: often that of the item, if a reply has shown it.
    pub(super) fn unique(&mut self, path: &str) -> String {
        let current = self.model.unique(path);
        let seen = self.uniques.seen(self.choices.below(4));
        match (current, seen) {
            (Some(unique), _) if self.uniques.knows(unique) && !self.choices.one_in(4) => {
                format!("{{{unique}}}")
            }
            (_, Some(unique)) => format!("{{{unique}}}"),
            _ => "4000000000".into(),
        }
    }

    /// A classic command, or one of larder's for nested keys.
    fn classic(&mut self) -> Request {
        let path = self.path();
        let other = self.choices.pick(&["a", "b", "none"]);
        match self.choices.below(16) {
            verb @ 0..8 => {
                let verbs = [
                    "set", "set", "set", "add", "replace", "append", "prepend", "cas",
                ];
                let verb = verbs[verb];
                let value = self.value();
                let flags = self.choices.pick(&["0", "7", "4294967295"]);
                let exptime = self.exptime(path);
                let unique = match verb {
                    "cas" => format!(" {}", self.unique(path)),
                    _ => String::new(),
                };
                let noreply = self.noreply();
                let length = value.len();
                Request {
                    value: Some(value),
                    ..line(&format!(
                        "{verb} {path} {flags} {exptime} {length}{unique}{noreply}"
                    ))
                }
            }
            8 => {
                let verb = self.choices.pick(&["get", "gets"]);
                line(&format!("{verb} {path} {other}"))
            }
            9 => {
                let verb = self.choices.pick(&["getn", "getns", "getns", "getch"]);
                line(&format!("{verb} {path}"))
            }
            10 => {
                let verb = self.choices.pick(&["gat", "gats"]);
                line(&format!("{verb} {} {other} b", self.exptime(other)))
            }
            11 => line(&format!(
                "touch {path} {}{}",
                self.exptime(path),
                self.noreply()
            )),
            12 => match self.choices.pick(&["delete", "deln"]) {
                "delete" => line(&format!("delete {path}{}", self.noreply())),
                verb => line(&format!("{verb} {path}")),
            },
            13 | 14 => {
                let verb = self.choices.pick(&["incr", "decr"]);
                let amounts = ["1", "10", "0", "18446744073709551615", "x"];
                let amount = self.choices.pick(&amounts);
                line(&format!("{verb} {path} {amount}{}", self.noreply()))
            }
            _ => match self.choices.below(4) {
                0 => line(
                    self.choices
                        .pick(&["flush_all", "flush_all 2", "flush_all 0"]),
                ),
                1 => line(&format!("nope {path}")),
                _ => line("mn"),
            },
        }
    }
}
