//! Reads Prometheus's text format: a line to a name, labels and a number. A line that has another form is left out.
//!
//! Cost: a look at each byte, and an allocation for each label. The samples of a family are found at once, however many others there
//! are.

use std::collections::HashMap;

/// The samples of an answer, by the names of their families.
pub(super) struct Samples<'a>(HashMap<&'a str, Vec<Sample<'a>>>);

/// A line `name{label="value",…} number`, of the family of that name.
pub(super) struct Sample<'a> {
    labels: Vec<(&'a str, String)>,
    pub(super) value: f64,
}

impl<'a> Samples<'a> {
    pub(super) fn of(text: &'a str) -> Samples<'a> {
        let mut families: HashMap<_, Vec<_>> = HashMap::new();
        for (family, sample) in text.lines().filter_map(Sample::read) {
            families.entry(family).or_default().push(sample);
        }
        Samples(families)
    }

    /// The samples of a family.
    pub(super) fn named(&self, name: &str) -> impl Iterator<Item = &Sample<'a>> {
        self.0.get(name).into_iter().flatten()
    }

    /// The sum of the samples of a family; `None` without any.
    pub(super) fn sum(&self, name: &str) -> Option<u64> {
        self.sum_where(name, |_| true)
    }

    /// The sum of those for which this holds; `None` without any.
    pub(super) fn sum_where(&self, name: &str, holds: impl Fn(&Sample<'_>) -> bool) -> Option<u64> {
        let found = self.named(name).filter(|sample| holds(sample));
        found.map(Sample::whole).reduce(u64::saturating_add)
    }
}

impl<'a> Sample<'a> {
    /// The family and the sample of a line.
    fn read(line: &'a str) -> Option<(&'a str, Sample<'a>)> {
        let line = line.trim();
        if line.starts_with('#') {
            return None;
        }
        let (family, rest) = line.split_at(line.find(['{', ' ', '\t'])?);
        let (labels, rest) = match rest.trim_start().strip_prefix('{') {
            Some(rest) => labels(rest)?,
            None => (Vec::new(), rest),
        };
        let mut numbers = rest.split_ascii_whitespace();
        let value = numbers.next()?.parse().ok()?;
        // The time of the sample may follow.
        let has_time = numbers
            .next()
            .is_none_or(|time| time.parse::<i64>().is_ok());
        let ends = has_time && numbers.next().is_none();
        ends.then_some((family, Sample { labels, value }))
    }

    /// The value of a label; empty if the sample doesn't have it.
    pub(super) fn label(&self, name: &str) -> &str {
        let mut labels = self.labels.iter();
        labels
            .find(|it| it.0 == name)
            .map_or("", |(_, value)| value)
    }

    /// The number without its fraction; a negative one, and one that is no number, is 0.
    pub(super) fn whole(&self) -> u64 {
        self.value as u64
    }
}

/// Labels with their values, and what is behind their closing brace.
type Labels<'a> = (Vec<(&'a str, String)>, &'a str);

/// Reads labels behind their opening brace.
fn labels(text: &str) -> Option<Labels<'_>> {
    let (mut labels, mut rest) = (Vec::new(), text.trim_start());
    loop {
        if let Some(behind) = rest.strip_prefix('}') {
            return Some((labels, behind));
        }
        let (label, after) = rest.split_once('=')?;
        let (value, after) = quoted(after.trim_start().strip_prefix('"')?)?;
        labels.push((label.trim(), value));
        rest = after.trim_start();
        rest = match rest.strip_prefix(',') {
            Some(more) => more.trim_start(),
            None => rest.starts_with('}').then_some(rest)?,
        };
    }
}

/// A label's value, without its escapes, and what is behind its closing quote.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((place, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[place + 1..])),
            '\\' => value.push(match letters.next()?.1 {
                'n' => '\n',
                escaped => escaped,
            }),
            _ => value.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_a_name_labels_and_a_number() {
        let text = "# HELP a x\n # a 5\na 1\na{b=\"c\"} 2.5\na{b=\"\\\"}\\\\,\\n\",d=\"e f\"} 7\na{b=\"+Inf\"} +Inf\n";
        let samples = Samples::of(text);
        let labels = samples.named("a").map(|it| (it.label("b"), it.label("d")));
        let expected = [("", ""), ("c", ""), ("\"}\\,\n", "e f"), ("+Inf", "")];
        assert_eq!(labels.collect::<Vec<_>>(), expected);
        assert_eq!(
            samples.sum_where("a", |it| it.value.is_finite()),
            Some(1 + 2 + 7)
        );
        assert_eq!(samples.sum("b"), None);
    }

    #[test]
    fn spaces_a_comma_at_the_end_and_a_time_change_nothing() {
        for line in [
            "a{b=\"c\",d=\"e\"} 2",
            "a{ b = \"c\", d=\"e\", }\t2 1700000000000 \r",
            "  a {b=\"c\",d=\"e\"} 2 -1",
        ] {
            let samples = Samples::of(line);
            let found = samples.named("a").map(|it| (it.label("b"), it.label("d")));
            assert_eq!(found.collect::<Vec<_>>(), [("c", "e")], "{line}");
            assert_eq!(samples.sum("a"), Some(2), "{line}");
        }
    }

    #[test]
    fn other_lines_are_left_out() {
        for line in [
            "",
            "a",
            "a x",
            "a{ 1",
            "a{b} 1",
            "a{b=\"c} 1",
            "a{b=\"c\\",
            "a{b=\"c\"}} 1",
            "a{b=\"c\"d=\"e\"} 1",
            "a{b=c} 1",
            "a 1 x",
            "a 1 2 3",
        ] {
            assert!(Samples::of(line).0.is_empty(), "{line}");
        }
        let negative = Samples::of("a -3\nb NaN\nc 1e30");
        assert_eq!(
            ["a", "b", "c"].map(|it| negative.sum(it)),
            [Some(0), Some(0), Some(u64::MAX)]
        );
    }
}
