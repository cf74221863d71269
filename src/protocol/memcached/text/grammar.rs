//! The grammar: one regular expression.
//!
//! A line is a verb and its words. The expression is anchored at both ends, and at every byte only
//! one thing can follow, so that the regex engine runs it as a one-pass DFA: one table look-up per
//! byte, captures included. (A test holds it to that. It is why the verbs are one alternation of
//! plain words, and why the count of words that each verb takes is left to the table in `command`:
//! an alternative per verb, with its own groups, would start with the same byte as others, and the
//! engine would have to try them one after another.)
//!
//! The expression is compiled once. Each thread keeps a clone, because the clones share the
//! compiled program but not the scratch space that threads would otherwise pass around, and keeps
//! the places of the captures.

use std::cell::RefCell;
use std::sync::LazyLock;

use regex::bytes::{CaptureLocations, Regex, RegexBuilder};

use super::command::Verb;
use super::words::Words;

/// The grammar of a line whose end, and the spaces before it, have been cut off.
pub const GRAMMAR: &str = r"(?x)
    ^ \x20*
    ( get | gets | gat | gats
    | set | add | replace | append | prepend | cas
    | incr | decr | touch | delete
    | getn | getns | getch | deln
    | flush_all | stats | version | verbosity | quit | mn | shutdown
    )
    (?: \x20+ ( [^\x20]+ (?: \x20+ [^\x20]+ )* ) )?
    $";

/// The group of the verb.
const VERB: usize = 1;
/// The group of the words.
const WORDS: usize = 2;

static REGEX: LazyLock<Regex> = LazyLock::new(|| {
    RegexBuilder::new(GRAMMAR)
        .unicode(false)
        .build()
        .expect("the grammar is a constant, and compiled by every test")
});

thread_local! {
    static SCRATCH: RefCell<(Regex, CaptureLocations)> = {
        let regex = REGEX.clone();
        let captures = regex.capture_locations();
        RefCell::new((regex, captures))
    };
}

/// The verb and the words of a line, or `None` if no command starts so.
pub(super) fn read(line: &[u8]) -> Option<(Verb, Words<'_>)> {
    SCRATCH.with_borrow_mut(|(regex, captures)| {
        regex.captures_read(captures, line)?;
        let (start, end) = captures.get(VERB)?;
        let verb = Verb::from_name(&line[start..end])?;
        let words = captures
            .get(WORDS)
            .map_or(Words::default(), |(start, end)| {
                Words::new(&line[start..end])
            });
        Some((verb, words))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex_automata::dfa::onepass;
    use regex_automata::util::syntax;

    #[test]
    fn the_grammar_runs_as_a_one_pass_dfa() {
        onepass::Builder::new()
            .syntax(syntax::Config::new().unicode(false).utf8(false))
            .thompson(regex_automata::nfa::thompson::Config::new().utf8(false))
            .build(GRAMMAR)
            .expect("one-pass");
    }

    #[test]
    fn a_line_is_a_verb_and_its_words() {
        let (verb, words) = read(b"  set  a b  0 0 5").expect("a command");
        assert_eq!(verb, Verb::Set);
        assert_eq!(words.collect::<Vec<_>>(), [b"a", b"b", b"0", b"0", b"5"]);
        assert_eq!(read(b"mn"), Some((Verb::MetaNoop, Words::default())));
        for line in [
            &b""[..],
            b" ",
            b"GET a",
            b"getx a",
            b"ge",
            b"get\ta",
            b"mg a",
            b"\xff",
        ] {
            assert_eq!(read(line), None, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn every_verb_of_the_grammar_has_a_meaning() {
        let verbs = GRAMMAR
            .split(['(', ')'])
            .nth(3)
            .expect("the group of the verbs");
        for name in verbs.split('|').map(str::trim) {
            let line = format!("{name} a b");
            assert!(read(line.as_bytes()).is_some(), "{name}");
        }
    }
}
