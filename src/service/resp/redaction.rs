//! The words of a command that others may see, in the slow log and by MONITOR: passwords are replaced.

use super::arguments::is;
use super::table::CommandEntry;
use crate::protocol::resp::CommandArgs;

/// Stands for a word that nobody may see, as in Redis.
const REDACTED: &[u8] = b"(redacted)";

/// The words of a command, without passwords and the rules of users.
pub(super) fn shown_words<'a>(entry: &CommandEntry, args: CommandArgs<'a>) -> Vec<&'a [u8]> {
    let mut words: Vec<_> = args.iter().collect();
    match &entry.name[..] {
        "auth" => words[1..].fill(REDACTED),
        "acl|setuser" => words[2..].fill(REDACTED),
        "hello" => redact_login(&mut words),
        "config|set" => {
            for pair in words[2..].chunks_exact_mut(2) {
                if is(pair[0], "requirepass") {
                    pair[1] = REDACTED;
                }
            }
        }
        _ => {}
    }
    words
}

/// Replaces the user and the password of HELLO.
fn redact_login(words: &mut [&[u8]]) {
    let mut at = 2;
    while at < words.len() {
        let (arguments, is_login) = match words[at] {
            word if is(word, "setname") => (1, false),
            word if is(word, "auth") => (2, true),
            // Behind a word that is no option there may be a misspelt login.
            _ => (words.len(), true),
        };
        let end = words.len().min(at + 1 + arguments);
        if is_login {
            words[at + 1..end].fill(REDACTED);
        }
        at = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted<'a>(words: &[&'a str]) -> Vec<&'a str> {
        let mut words: Vec<_> = words.iter().map(|word| word.as_bytes()).collect();
        redact_login(&mut words);
        let shown = words.into_iter().map(|word| std::str::from_utf8(word));
        shown.collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn the_login_of_hello_is_redacted_wherever_it_is() {
        let hidden = "(redacted)";
        assert_eq!(
            redacted(&["HELLO", "3", "setname", "auth", "AUTH", "u", "p"]),
            ["HELLO", "3", "setname", "auth", "AUTH", hidden, hidden]
        );
        assert_eq!(
            redacted(&["HELLO", "3", "auth", "u", "p", "SETNAME", "n"]),
            ["HELLO", "3", "auth", hidden, hidden, "SETNAME", "n"]
        );
        assert_eq!(
            redacted(&["HELLO", "3", "AUHT", "u", "p", "SETNAME", "n"]),
            ["HELLO", "3", "AUHT", hidden, hidden, hidden, hidden]
        );
        assert_eq!(redacted(&["HELLO", "3", "AUTH", "u"])[3], hidden);
        assert_eq!(redacted(&["HELLO"]), ["HELLO"]);
    }
}
