//! The results of one server, as a table for a person or as JSON.

use std::io::{self, Write};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::dialect::Dialect;
use super::measured::Measured;
use super::numbers::{grouped, micros};
use super::process::Usage;
use crate::tools::transcript::Address;

/// The percentiles that are printed, and their names.
const PERCENTILES: [(f64, &str); 6] = [
    (50.0, "p50"),
    (90.0, "p90"),
    (95.0, "p95"),
    (99.0, "p99"),
    (99.9, "p99.9"),
    (99.99, "p99.99"),
];

/// From this share on, the tool itself may limit the rate.
const BUSY: f64 = 0.9;

/// A server's results.
pub(super) struct Results {
    pub(super) address: Address,
    pub(super) dialect: Dialect,
    /// The load, in words.
    pub(super) load: String,
    /// The same as JSON.
    pub(super) settings: Value,
    pub(super) measured: Measured,
    /// The resources that the server's process used meanwhile.
    pub(super) usage: Option<Usage>,
}

impl Results {
    /// Whether every reply was right.
    pub(super) fn all_right(&self) -> bool {
        self.measured.refusals() == 0 && self.measured.wrong == 0
    }

    /// Processor time of the server for each operation.
    pub(super) fn processor_per_operation(&self) -> Option<Duration> {
        let spent = self.usage?.processor.as_nanos();
        let nanos = spent / u128::from(self.measured.requests().max(1));
        Some(Duration::from_nanos(
            u64::try_from(nanos).unwrap_or(u64::MAX),
        ))
    }

    pub(super) fn table(&self, out: &mut dyn Write) -> io::Result<()> {
        let measured = &self.measured;
        let (protocol, seconds) = (self.dialect.name(), measured.elapsed.as_secs_f64());
        writeln!(
            out,
            "{}: {protocol}, {}, {seconds:.1} s",
            self.address, self.load
        )?;
        write!(out, "\n{:14}{:>12}{:>12}", "µs", "requests", "a second")?;
        for (_, name) in PERCENTILES {
            write!(out, "{name:>10}")?;
        }
        writeln!(out, "{:>10}", "max")?;
        let both = !measured.gets.is_empty() && !measured.sets.is_empty();
        self.row("get", &measured.gets, out)?;
        self.row("set", &measured.sets, out)?;
        if both {
            self.row("all", &measured.all(), out)?;
        }
        self.row("from sending", &measured.from_sending, out)?;
        writeln!(out)?;
        self.facts(out)
    }

    fn row(&self, name: &str, latencies: &Histogram<u64>, out: &mut dyn Write) -> io::Result<()> {
        if latencies.is_empty() {
            return Ok(());
        }
        let rate = latencies.len() as f64 / self.measured.elapsed.as_secs_f64();
        write!(
            out,
            "{name:14}{:>12}{:>12}",
            grouped(latencies.len()),
            grouped(rate as u64)
        )?;
        for (percentile, _) in PERCENTILES {
            write!(
                out,
                "{:>10}",
                micros(latencies.value_at_percentile(percentile))
            )?;
        }
        writeln!(out, "{:>10}", micros(latencies.max()))
    }

    fn facts(&self, out: &mut dyn Write) -> io::Result<()> {
        let measured = &self.measured;
        if let Some(ratio) = measured.hit_ratio() {
            let asked = measured.hits + measured.misses;
            let unit = match asked > measured.gets.len() {
                true => "keys",
                false => "gets",
            };
            let (hits, asked) = (grouped(measured.hits), grouped(asked));
            writeln!(
                out,
                "hit ratio     {:.2}%: {hits} of {asked} {unit}",
                ratio * 100.0
            )?;
        }
        match &measured.first_wrong {
            None if measured.hits > 0 => writeln!(
                out,
                "values        all {} are right",
                grouped(measured.hits)
            )?,
            None => {}
            Some(first) => writeln!(
                out,
                "values        {} are WRONG; the first: {first}",
                grouped(measured.wrong)
            )?,
        }
        for (text, count) in &measured.errors {
            writeln!(out, "error         {} times {text:?}", grouped(*count))?;
        }
        if measured.unsent > 0 {
            writeln!(
                out,
                "not sent      {} requests were due and no connection was free: the rate is too high",
                grouped(measured.unsent)
            )?;
        }
        self.costs(out)
    }

    /// The cost of the load: the network, the server and this tool.
    fn costs(&self, out: &mut dyn Write) -> io::Result<()> {
        let measured = &self.measured;
        let seconds = measured.elapsed.as_secs_f64();
        let mib = |bytes: u64| bytes as f64 / 1024.0 / 1024.0;
        let (received, sent) = (
            mib(measured.received) / seconds,
            mib(measured.sent) / seconds,
        );
        writeln!(
            out,
            "traffic       {received:.1} MiB/s received, {sent:.1} MiB/s sent"
        )?;
        if let (Some(spent), Some(after)) = (self.processor_per_operation(), self.usage) {
            let (resident, peak) = (mib(after.resident), mib(after.peak));
            let spent = micros(u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX));
            writeln!(
                out,
                "server        {spent} µs of processor time an operation; {resident:.1} MiB resident, {peak:.1} MiB at its peak"
            )?;
        }
        if !measured.late.is_empty() {
            let [half, most] =
                [50.0, 99.0].map(|share| micros(measured.late.value_at_percentile(share)));
            writeln!(
                out,
                "sent late     by {half} µs at p50 and {most} µs at p99: this tool's share of the latency"
            )?;
        }
        let busy = measured.busy();
        let hint = match busy >= BUSY {
            true => ": it may be what limits the rate; try more --threads",
            false => "",
        };
        writeln!(
            out,
            "this tool     {:.2} s of processor time, busy for {:.0}% of the run{hint}",
            measured.processor.as_secs_f64(),
            busy * 100.0
        )
    }

    pub(super) fn json(&self) -> Value {
        let measured = &self.measured;
        let usage = self.usage.map(|after| {
            json!({
                "processor_us_per_operation": self.processor_per_operation().map(|spent| spent.as_nanos() as f64 / 1e3),
                "resident_bytes": after.resident,
                "peak_resident_bytes": after.peak,
            })
        });
        json!({
            "address": self.address.to_string(),
            "protocol": self.dialect.name(),
            "load": self.load,
            "settings": self.settings,
            "seconds": measured.elapsed.as_secs_f64(),
            "requests": measured.requests(),
            "rate": measured.rate(),
            "get": latencies(&measured.gets),
            "set": latencies(&measured.sets),
            "all": latencies(&measured.all()),
            "from_sending": latencies(&measured.from_sending),
            "hits": measured.hits,
            "misses": measured.misses,
            "hit_ratio": measured.hit_ratio(),
            "wrong_values": measured.wrong,
            "first_wrong_value": measured.first_wrong,
            "errors": measured.errors,
            "unsent": measured.unsent,
            "bytes_received": measured.received,
            "bytes_sent": measured.sent,
            "server": usage,
            "tool": {
                "processor_seconds": measured.processor.as_secs_f64(),
                "busy": measured.busy(),
                "sent_late": latencies(&measured.late),
            },
        })
    }
}

/// Latencies in microseconds; null without any.
fn latencies(histogram: &Histogram<u64>) -> Value {
    if histogram.is_empty() {
        return Value::Null;
    }
    let micros = |nanos: u64| nanos as f64 / 1e3;
    let mut found = serde_json::Map::new();
    found.insert("requests".into(), histogram.len().into());
    for (percentile, name) in PERCENTILES {
        found.insert(
            format!("{name}_us"),
            micros(histogram.value_at_percentile(percentile)).into(),
        );
    }
    found.insert("max_us".into(), micros(histogram.max()).into());
    found.insert("mean_us".into(), (histogram.mean() / 1e3).into());
    Value::Object(found)
}
