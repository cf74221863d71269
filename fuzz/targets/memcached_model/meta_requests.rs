//! Requests of meta commands, made of decisions.

use super::base64::base64;
use super::requests::{Maker, Request, line};

impl Maker<'_, '_> {
    /// Some of these flags, in any order and each letter once. `~` stands for a cas unique.
    fn flags(&mut self, path: &str, flags: &[&str]) -> String {
        let mut words = String::new();
        let mut letters = Vec::new();
        for _ in 0..self.choices.below(6) {
            let flag = self.choices.pick(flags);
            let expires = flag.starts_with(['T', 'N']) && !flag.ends_with('0');
            let lasts = !expires || !path.contains(' ');
            if letters.contains(&flag.as_bytes()[0]) || !lasts {
                continue;
            }
            letters.push(flag.as_bytes()[0]);
            words.push(' ');
            match flag.strip_suffix('~') {
                Some(letter) => words += &format!("{letter}{}", self.unique(path)),
                None => words.push_str(flag),
            }
        }
        words
    }

    /// A path as a meta command has it, with the flags that make it one.
    fn key_and_flags(&mut self, path: &str) -> (String, &'static str) {
        let (path, flag) = match path.contains(' ') {
            true => (path.replace(' ', "/"), " n/"),
            false => (path.to_owned(), ""),
        };
        match (self.choices.one_in(5), flag) {
            (true, "") => (base64(path.as_bytes()), " b"),
            (true, _) => (base64(path.as_bytes()), " b n/"),
            _ => (path, flag),
        }
    }

    /// `mg`.
    pub(super) fn meta_get(&mut self) -> Request {
        let path = self.path();
        let (key, special) = self.key_and_flags(path);
        let flags = [
            "v",
            "v",
            "f",
            "c",
            "c",
            "t",
            "k",
            "s",
            "h",
            "u",
            "q",
            "O5",
            "T0",
            "T1",
            "T99",
            "N0",
            "N31",
            "R30",
            "R2000",
            "C~",
            "E9000000000001",
        ];
        let flags = self.flags(path, &flags);
        line(&format!("mg {key}{special}{flags}"))
    }

    /// `ms`, `md` or `ma`.
    pub(super) fn meta_change(&mut self) -> Request {
        let path = self.path();
        let (key, special) = self.key_and_flags(path);
        match self.choices.below(4) {
            0 | 1 => {
                let value = self.value();
                let length = value.len();
                let flags = [
                    "MS",
                    "ME",
                    "MA",
                    "MP",
                    "MR",
                    "MA",
                    "F7",
                    "T21",
                    "T-1",
                    "N31",
                    "k",
                    "O6",
                    "q",
                    "I",
                    "I",
                    "c",
                    "s",
                    "C~",
                    "C~",
                    "E9000000000002",
                ];
                let flags = self.flags(path, &flags);
                Request {
                    value: Some(value),
                    ..line(&format!("ms {key} {length}{special}{flags}"))
                }
            }
            2 => {
                let flags = [
                    "I",
                    "I",
                    "T31",
                    "T0",
                    "x",
                    "k",
                    "O7",
                    "q",
                    "C~",
                    "E9000000000003",
                ];
                let flags = self.flags(path, &flags);
                line(&format!("md {key}{special}{flags}"))
            }
            _ => {
                let flags = [
                    "MI",
                    "MD",
                    "M+",
                    "M-",
                    "N0",
                    "N41",
                    "J7",
                    "J200",
                    "D3",
                    "D200",
                    "v",
                    "t",
                    "c",
                    "k",
                    "O8",
                    "q",
                    "T51",
                    "C~",
                    "E9000000000004",
                ];
                let flags = self.flags(path, &flags);
                line(&format!("ma {key}{special}{flags}"))
            }
        }
    }
}
