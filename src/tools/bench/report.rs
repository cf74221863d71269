//! The printed report: the results of one server, or of two and their ratios.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::plot::{Series, svg};
use super::results::Results;
use super::versus::Ratios;

/// The whole report.
pub(super) struct Report {
    /// One server's, or two servers'.
    pub(super) results: Vec<Results>,
    /// Of the first to the second, if they were loaded in turn.
    pub(super) ratios: Option<Ratios>,
}

impl Report {
    pub(super) fn of(results: Vec<Results>) -> Report {
        Report {
            results,
            ratios: None,
        }
    }

    /// Whether every reply was right.
    pub(super) fn all_right(&self) -> bool {
        self.results.iter().all(Results::all_right)
    }

    pub(super) fn table(&self, out: &mut dyn Write) -> io::Result<()> {
        for (number, results) in self.results.iter().enumerate() {
            if number > 0 {
                writeln!(out)?;
            }
            results.table(out)?;
        }
        if let [first, second] = self.results.as_slice() {
            writeln!(out)?;
            match &self.ratios {
                Some(ratios) => ratios.table(first, second, out)?,
                None => hit_ratios(first, second, out)?,
            }
        }
        Ok(())
    }

    pub(super) fn json(&self) -> Value {
        match self.results.as_slice() {
            [first, second] => json!({
                "first": first.json(),
                "second": second.json(),
                "ratio": self.ratios.as_ref().map(Ratios::json),
            }),
            results => results.first().map_or(Value::Null, Results::json),
        }
    }

    /// The latencies as a plot: of gets and sets, or of both servers.
    pub(super) fn plot(&self) -> String {
        let all: Vec<_> = self
            .results
            .iter()
            .map(|results| results.measured.all())
            .collect();
        let series = |name: &str, latencies| Series {
            name: name.to_owned(),
            latencies,
        };
        match self.results.as_slice() {
            [one] => {
                let measured = &one.measured;
                let lines = [
                    series("get", &measured.gets),
                    series("set", &measured.sets),
                    series("from sending", &measured.from_sending),
                ];
                svg(&format!("{}: {}", one.address, one.load), &lines)
            }
            several => {
                let names = several.iter().map(|results| results.address.to_string());
                let lines: Vec<_> = names
                    .zip(&all)
                    .map(|(name, all)| series(&name, all))
                    .collect();
                svg(several.first().map_or("", |one| &one.load), &lines)
            }
        }
    }
}

/// The difference between the hit ratios of two replays.
fn hit_ratios(first: &Results, second: &Results, out: &mut dyn Write) -> io::Result<()> {
    let ratios = first.measured.hit_ratio().zip(second.measured.hit_ratio());
    let Some((one, other)) = ratios else {
        return Ok(());
    };
    writeln!(
        out,
        "hit ratio of {} minus that of {}: {:+.2} points",
        first.address,
        second.address,
        (one - other) * 100.0
    )
}
