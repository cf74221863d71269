//! The grammar: one regular expression.
//!
//! A line is a verb and its words. The expression is anchored at both ends, and every byte has only
//! one continuation, so that the regex engine runs it as a one-pass DFA: one table look-up per
//! byte, captures included. (A test checks that. Therefore the verbs are one alternation of plain
//! words, and each verb's entry in the table checks its number of words. An alternative per verb,
//! with its own groups, would start with the same byte as others, and the engine would have to try
//! them one after another.)
//!
//! The expression is compiled once. Each thread keeps a clone, because the clones share the
//! compiled program but not the scratch space that threads would otherwise pass around, and keeps
//! the places of the captures.

use std::cell::RefCell;
use std::sync::LazyLock;

use regex::bytes::{CaptureLocations, Regex, RegexBuilder};

use super::command::{Verb, verb_names};
use super::words::Words;

/// The grammar of a line whose end, and the spaces before it, have been cut off: made of the names in
/// the table of verbs.
static GRAMMAR: LazyLock<String> = LazyLock::new(|| {
    let verbs: Vec<&str> = verb_names().collect();
    let verbs = verbs.join("|");
    format!(r"^ *({verbs})(?: +([^ ]+(?: +[^ ]+)*))?$")
});

/// The group of the verb.
const VERB: usize = 1;
/// The group of the words.
const WORDS: usize = 2;

static REGEX: LazyLock<Regex> = LazyLock::new(|| {
    RegexBuilder::new(&GRAMMAR)
        .unicode(false)
        .build()
        .expect("the table of verbs is a constant, and every test compiles it")
});

thread_local! {
    static SCRATCH: RefCell<(Regex, CaptureLocations)> = {
        let regex = REGEX.clone();
        let captures = regex.capture_locations();
        RefCell::new((regex, captures))
    };
}

/// The verb and the words of a line, or `None` if no command starts so.
pub(super) fn read(line: &[u8]) -> Option<(&'static Verb, Words<'_>)> {
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
            .build(&GRAMMAR)
            .expect("one-pass");
    }

    #[test]
    fn a_line_is_a_verb_and_its_words() {
        let (verb, words) = read(b"  set  a b  0 0 5").expect("a command");
        assert_eq!(verb.name, "set");
        assert_eq!(words.collect::<Vec<_>>(), [b"a", b"b", b"0", b"0", b"5"]);
        let (verb, words) = read(b"mn").expect("a command");
        assert_eq!((verb.name, words), ("mn", Words::default()));
        for line in [
            &b""[..],
            b" ",
            b"GET a",
            b"getx a",
            b"ge",
            b"get\ta",
            b"\xff",
        ] {
            assert!(read(line).is_none(), "{}", line.escape_ascii());
        }
    }
}
