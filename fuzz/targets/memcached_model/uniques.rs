//! Cas uniques. The model and the server have different numbers, but each number of the model stands for one of the server.
//!
//! The model writes its seventh unique as `{7}`. The first reply with it shows the server's number, and later replies have to show the
//! same.

use std::collections::BTreeMap;

/// Numbers that clients choose are higher; they stay as they are.
pub(crate) const FIRST_CHOSEN: u64 = 9_000_000_000_000;

/// The numbers of the model that replies have shown, in their order, and the server's for each.
#[derive(Default)]
pub(crate) struct Uniques {
    servers: BTreeMap<u64, u64>,
    seen: Vec<u64>,
}

/// A unique as the model writes it.
pub(crate) fn written(unique: u64) -> String {
    match unique {
        0 | FIRST_CHOSEN.. => unique.to_string(),
        _ => format!("{{{unique}}}"),
    }
}

/// The number of a request's word, which may be a unique of the model.
pub(crate) fn number(word: &str) -> u64 {
    let digits = word.trim_matches(['{', '}']);
    digits.parse().unwrap_or_default()
}

impl Uniques {
    /// A unique of the model that a reply has shown, counted back from the last one.
    pub(crate) fn seen(&self, back: usize) -> Option<u64> {
        self.seen.iter().rev().nth(back).copied()
    }

    /// Whether the server's number for this is known.
    pub(crate) fn knows(&self, unique: u64) -> bool {
        unique >= FIRST_CHOSEN || self.servers.contains_key(&unique)
    }

    /// A line with the server's numbers.
    pub(crate) fn in_words(&self, line: &str) -> String {
        let mut out = String::new();
        for (at, part) in line.split(['{', '}']).enumerate() {
            match part.parse::<u64>().ok().filter(|_| at % 2 == 1) {
                Some(unique) => {
                    out += &self.servers.get(&unique).unwrap_or(&unique).to_string();
                }
                None => out.push_str(part),
            }
        }
        out
    }

    /// Whether a reply is the expected one. A unique that no reply has shown yet may have any new number.
    pub(crate) fn agree(&mut self, expected: &[u8], reply: &[u8]) -> bool {
        let mut rest = reply;
        for (at, part) in expected.split(|byte| b"{}".contains(byte)).enumerate() {
            if at % 2 == 0 {
                let Some(behind) = rest.strip_prefix(part) else {
                    return false;
                };
                rest = behind;
                continue;
            }
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let (number, behind) = rest.split_at(digits);
            let text = |bytes| std::str::from_utf8(bytes).ok()?.parse::<u64>().ok();
            let (Some(unique), Some(number)) = (text(part), text(number)) else {
                return false;
            };
            if !self.is_number_of(unique, number) {
                return false;
            }
            rest = behind;
        }
        rest.is_empty()
    }

    /// Whether the server may have this number for a unique. If no reply has shown its number yet, this is it from now on.
    fn is_number_of(&mut self, unique: u64, number: u64) -> bool {
        if let Some(known) = self.servers.get(&unique) {
            return *known == number;
        }
        if self.servers.values().any(|other| *other == number) || number >= FIRST_CHOSEN {
            return false;
        }
        self.servers.insert(unique, number);
        self.seen.push(unique);
        true
    }
}
