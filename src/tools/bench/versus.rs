//! Two servers in one run: short slices in turn, so that other load on the machine affects both.
//!
//! ```text
//!   A B   B A   A B   B A   …      each pair gives a ratio; the order changes from pair to pair
//! ```
//!
//! On a busy machine the figures of a single run vary a lot, and the ratios of pairs much less. Only one server is under
//! load at a time. Each slice begins with a tenth of its time that isn't counted.

use std::io::{self, Write};
use std::time::Duration;

use serde_json::{Value, json};

use super::fleet::Fleet;
use super::measured::Measured;
use super::plan::Plan;
use super::process::Usage;
use super::results::Results;
use super::worker::RunEnd;

/// The figures that are compared, by their names in the report.
const COMPARED: [&str; 4] = ["rate", "p50", "p99", "p99.9"];

/// One server of the two.
pub(super) struct ComparedServer {
    pub(super) fleet: Fleet,
    pub(super) plan: Plan,
    pub(super) pid: Option<u32>,
    pub(super) results: Results,
}

impl ComparedServer {
    /// The resources that its process has used so far, if `--pid` was given.
    pub(super) fn usage(&self) -> Result<Option<Usage>, String> {
        self.pid.map(Usage::of).transpose()
    }

    /// Loads it for one slice.
    fn slice(&mut self, span: Duration) -> Result<SliceFigures, String> {
        let quiet = indicatif::ProgressBar::hidden();
        self.fleet
            .load(&self.plan, RunEnd::After(span / 10), &quiet)?;
        let before = self.usage()?;
        let measured = self.fleet.load(&self.plan, RunEnd::After(span), &quiet)?;
        let after = self.usage()?;
        if let Some((before, after)) = before.zip(after) {
            let so_far = self
                .results
                .usage
                .map_or(Duration::ZERO, |usage| usage.processor);
            let mut usage = after.since(before);
            usage.processor += so_far;
            self.results.usage = Some(usage);
        }
        self.results.measured.append(&measured);
        Ok(SliceFigures::of(&measured))
    }
}

/// The compared figures of one slice.
#[derive(Debug, Clone, Copy)]
struct SliceFigures([f64; COMPARED.len()]);

impl SliceFigures {
    fn of(measured: &Measured) -> SliceFigures {
        let all = measured.all();
        let at = |percentile| all.value_at_percentile(percentile) as f64;
        SliceFigures([measured.rate(), at(50.0), at(99.0), at(99.9)])
    }
}

/// The ratios of all pairs, the first server's figure by the second's.
pub(super) struct Ratios {
    /// For each figure the ratios, sorted.
    sorted: [Vec<f64>; COMPARED.len()],
}

/// Loads two servers in turn, for a number of pairs of slices.
pub(super) fn alternate(
    first: &mut ComparedServer,
    second: &mut ComparedServer,
    pairs: usize,
    span: Duration,
    bar: &indicatif::ProgressBar,
) -> Result<Ratios, String> {
    let mut found = Vec::with_capacity(pairs);
    for pair in 0..pairs {
        bar.set_message(format!("pair {} of {pairs}", pair + 1));
        bar.tick();
        let figures = if pair % 2 == 0 {
            let one = first.slice(span)?;
            (one, second.slice(span)?)
        } else {
            let other = second.slice(span)?;
            (first.slice(span)?, other)
        };
        found.push(figures);
    }
    Ok(Ratios::of(&found))
}

impl Ratios {
    fn of(pairs: &[(SliceFigures, SliceFigures)]) -> Ratios {
        let sorted = std::array::from_fn(|figure| {
            let ratio = |(one, other): &(SliceFigures, SliceFigures)| {
                one.0[figure] / other.0[figure].max(1e-9)
            };
            let mut ratios: Vec<f64> = pairs.iter().map(ratio).collect();
            ratios.sort_by(f64::total_cmp);
            ratios
        });
        Ratios { sorted }
    }

    pub(super) fn table(
        &self,
        first: &Results,
        second: &Results,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let pairs = self.sorted[0].len();
        writeln!(
            out,
            "{} / {}, median of {pairs} pairs of slices (middle half of the pairs)",
            first.address, second.address
        )?;
        for (name, ratios) in COMPARED.iter().zip(&self.sorted) {
            let [low, median, high] = [0.25, 0.5, 0.75].map(|share| quantile(ratios, share));
            writeln!(out, "{name:14}{median:.2} ({low:.2} to {high:.2})")?;
        }
        let spent = first
            .processor_per_operation()
            .zip(second.processor_per_operation());
        if let Some((one, other)) = spent {
            let ratio = one.as_secs_f64() / other.as_secs_f64().max(1e-12);
            writeln!(out, "processor     {ratio:.2}")?;
        }
        Ok(())
    }

    pub(super) fn json(&self) -> Value {
        let mut all = serde_json::Map::new();
        for (name, ratios) in COMPARED.iter().zip(&self.sorted) {
            let [low, median, high] = [0.25, 0.5, 0.75].map(|share| quantile(ratios, share));
            let figures = json!({
                "median": median,
                "lower_quartile": low,
                "upper_quartile": high,
                "pairs": ratios.len(),
            });
            all.insert((*name).to_owned(), figures);
        }
        Value::Object(all)
    }
}

/// The value below which this share of some sorted numbers is; between two numbers in proportion.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_the_median_of_the_pairs_in_any_order() {
        let figures = |rate| SliceFigures([rate, 1.0, 1.0, 1.0]);
        // The machine is three times slower in the second pair, and one pair is an outlier.
        let pairs = [
            (200.0, 100.0),
            (66.0, 33.0),
            (900.0, 100.0),
            (190.0, 100.0),
            (210.0, 100.0),
        ];
        let pairs = pairs.map(|(one, other)| (figures(one), figures(other)));
        let ratios = Ratios::of(&pairs);
        assert_eq!(ratios.json()["rate"]["median"], 2.0);
        assert_eq!(ratios.json()["rate"]["lower_quartile"], 2.0);
        assert_eq!(ratios.json()["rate"]["upper_quartile"], 2.1);
        assert_eq!(ratios.json()["p99"]["median"], 1.0);
    }

    #[test]
    fn quantiles_lie_between_the_numbers() {
        assert_eq!(quantile(&[3.0], 0.25), 3.0);
        assert_eq!(quantile(&[1.0, 2.0], 0.5), 1.5);
        assert_eq!(quantile(&[1.0, 2.0, 5.0], 0.75), 3.5);
    }
}
