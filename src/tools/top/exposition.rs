//! Reads Prometheus's text format: a line to a name, labels and a number. A line that has another form is left out.

/// The samples of an answer.
pub(super) struct Samples<'a>(Vec<Sample<'a>>);

/// A line `name{label="value",…} number`.
pub(super) struct Sample<'a> {
    pub(super) name: &'a str,
    labels: Vec<(&'a str, String)>,
    pub(super) value: f64,
}

impl<'a> Samples<'a> {
    pub(super) fn of(text: &'a str) -> Samples<'a> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Samples(lines.filter_map(Sample::read).collect())
    }

    /// The samples of a family.
    pub(super) fn named<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'b Sample<'a>> + 'b {
        self.0.iter().filter(move |sample| sample.name == name)
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
    fn read(line: &'a str) -> Option<Sample<'a>> {
        let (sample, value) = line.trim_end().rsplit_once(' ')?;
        let value = value.parse().ok()?;
        let Some((name, mut rest)) = sample.split_once('{') else {
            let labels = Vec::new();
            return Some(Sample {
                name: sample,
                labels,
                value,
            });
        };
        let mut labels = Vec::new();
        while let Some((label, after)) = rest.split_once("=\"") {
            let (value, after) = quoted(after)?;
            labels.push((label, value));
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        (rest == "}").then_some(Sample {
            name,
            labels,
            value,
        })
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
        let text = "# HELP a x\na 1\na{b=\"c\"} 2.5\na{b=\"\\\"}\\\\,\\n\",d=\"e f\"} 7\na{b=\"+Inf\"} +Inf\n";
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
