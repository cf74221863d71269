//! Prometheus's text format, version 0.0.4: families of samples, each with its help and its type.
//!
//! ```text
//!   # HELP redis_db_keys Keys of a database.
//!   # TYPE redis_db_keys gauge
//!   redis_db_keys{db="db0"} 17
//! ```
//!
//! Names and help texts are larder's own. The values of labels may come from outside, such as addresses of servers, and
//! are escaped. A family without samples is left out.

use std::fmt::{Display, Write};

/// The content type of the format.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The type of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Only rises, until a restart or a reset.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts by upper bounds.
    Histogram,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// The names of labels, with their values.
pub(crate) type Labels<'a> = &'a [(&'static str, &'a str)];

/// The figures of a histogram.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct HistogramFigures {
    /// Upper bounds in rising order, each with the number of values up to it.
    pub(crate) buckets: Vec<(f64, u64)>,
    pub(crate) count: u64,
    pub(crate) sum: f64,
}

impl HistogramFigures {
    /// The figures of a histogram whose bounds are nanoseconds.
    pub(crate) fn of_nanoseconds(
        bounds: &[u64],
        within: &[u64],
        count: u64,
        sum: f64,
    ) -> HistogramFigures {
        let seconds = bounds.iter().map(|bound| *bound as f64 / 1e9);
        HistogramFigures {
            buckets: seconds.zip(within.iter().copied()).collect(),
            count,
            sum,
        }
    }
}

/// A page of metrics.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    text: String,
}

impl Metrics {
    /// A family with one sample.
    pub(crate) fn one(&mut self, name: &'static str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help).sample(&[], value);
    }

    /// A counter with one sample.
    pub(crate) fn counter(&mut self, name: &'static str, help: &str, value: impl Display) {
        self.one(name, Kind::Counter, help, value);
    }

    /// A gauge with one sample.
    pub(crate) fn gauge(&mut self, name: &'static str, help: &str, value: impl Display) {
        self.one(name, Kind::Gauge, help, value);
    }

    /// A family whose samples follow.
    pub(crate) fn family<'a>(&'a mut self, name: &'a str, kind: Kind, help: &'a str) -> Family<'a> {
        Family {
            text: &mut self.text,
            name,
            kind,
            help: Some(help),
        }
    }

    /// The page.
    pub(crate) fn finish(self) -> String {
        self.text
    }
}

/// A family of samples.
pub(crate) struct Family<'a> {
    text: &'a mut String,
    name: &'a str,
    kind: Kind,
    /// `None` once it is written.
    help: Option<&'a str>,
}

impl Family<'_> {
    /// One sample.
    pub(crate) fn sample(&mut self, labels: Labels<'_>, value: impl Display) -> &mut Self {
        self.line("", labels, None, value);
        self
    }

    /// The samples of one histogram.
    pub(crate) fn histogram(&mut self, labels: Labels<'_>, figures: &HistogramFigures) {
        for (bound, count) in &figures.buckets {
            self.line("_bucket", labels, Some(&bound.to_string()), count);
        }
        self.line("_bucket", labels, Some("+Inf"), figures.count);
        self.line("_sum", labels, None, figures.sum);
        self.line("_count", labels, None, figures.count);
    }

    fn line(&mut self, suffix: &str, labels: Labels<'_>, le: Option<&str>, value: impl Display) {
        let (name, kind) = (self.name, self.kind.name());
        // Writing to a text can't fail.
        if let Some(help) = self.help.take() {
            let help = help.replace('\\', "\\\\").replace('\n', "\\n");
            let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        }
        let _ = write!(self.text, "{name}{suffix}");
        let all = labels.iter().copied().chain(le.map(|le| ("le", le)));
        let mut before = '{';
        for (label, value) in all {
            let _ = write!(self.text, "{before}{label}=\"{}\"", escaped(value));
            before = ',';
        }
        if before == ',' {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

/// A label's value, as it stands between quotation marks.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for letter in value.chars() {
        match letter {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            letter => text.push(letter),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_have_their_help_and_type_once_and_values_of_labels_are_escaped() {
        let mut metrics = Metrics::default();
        metrics.counter("a_total", "Of a\nand \\.", 3_u64);
        metrics
            .family("b", Kind::Gauge, "Of b.")
            .sample(&[("x", "1"), ("y", "q\"\\\nz")], 0.5)
            .sample(&[("x", "2"), ("y", "")], u64::MAX);
        metrics.family("c", Kind::Gauge, "Of nothing.");
        assert_eq!(
            metrics.finish(),
            "# HELP a_total Of a\\nand \\\\.\n# TYPE a_total counter\na_total 3\n\
             # HELP b Of b.\n# TYPE b gauge\nb{x=\"1\",y=\"q\\\"\\\\\\nz\"} 0.5\nb{x=\"2\",y=\"\"} 18446744073709551615\n"
        );
    }

    #[test]
    fn a_histogram_ends_with_an_open_bucket_its_sum_and_its_count() {
        let mut metrics = Metrics::default();
        let figures = HistogramFigures {
            buckets: vec![(0.001, 2), (0.5, 5)],
            count: 6,
            sum: 1.25,
        };
        metrics
            .family("d_seconds", Kind::Histogram, "Of d.")
            .histogram(&[("of", "x")], &figures);
        assert_eq!(
            metrics.finish(),
            "# HELP d_seconds Of d.\n# TYPE d_seconds histogram\n\
             d_seconds_bucket{of=\"x\",le=\"0.001\"} 2\nd_seconds_bucket{of=\"x\",le=\"0.5\"} 5\n\
             d_seconds_bucket{of=\"x\",le=\"+Inf\"} 6\nd_seconds_sum{of=\"x\"} 1.25\nd_seconds_count{of=\"x\"} 6\n"
        );
    }
}
