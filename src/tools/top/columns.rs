//! The table as text: which columns fit in a width, and what stands in them.
//!
//! The screen and `--once` use the same columns. A cell without a figure is `-`.

use super::reading::Counter;
use super::row::Row;
use super::text::{bytes, count, end_of, milliseconds, percent, printable};
use super::view::State;

/// Characters of the longest address that is shown whole.
const LONGEST_NAME: usize = 40;

/// A column behind that of the addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Program,
    Requests,
    HitRatio,
    Memory,
    Items,
    Connections,
    Evictions,
    Expired,
    Received,
    Sent,
    Latency,
}

impl Column {
    /// From left to right.
    const ORDER: [Column; 11] = [
        Column::Program,
        Column::Requests,
        Column::HitRatio,
        Column::Memory,
        Column::Items,
        Column::Connections,
        Column::Evictions,
        Column::Expired,
        Column::Received,
        Column::Sent,
        Column::Latency,
    ];

    /// The first are kept longest in a narrow terminal.
    const IMPORTANCE: [Column; 11] = [
        Column::Requests,
        Column::HitRatio,
        Column::Memory,
        Column::Evictions,
        Column::Latency,
        Column::Connections,
        Column::Program,
        Column::Items,
        Column::Received,
        Column::Sent,
        Column::Expired,
    ];

    /// Its title and its width.
    fn title(self) -> (&'static str, usize) {
        match self {
            Column::Program => ("PROGRAM", 9),
            Column::Requests => ("REQ/S", 5),
            Column::HitRatio => ("HIT%", 5),
            Column::Memory => ("MEMORY", 11),
            Column::Items => ("ITEMS", 5),
            Column::Connections => ("CONNS", 5),
            Column::Evictions => ("EVICT/S", 7),
            Column::Expired => ("EXPIRE/S", 8),
            Column::Received => ("IN/S", 5),
            Column::Sent => ("OUT/S", 5),
            Column::Latency => ("PROBE ms", 9),
        }
    }

    fn cell(self, row: &Row) -> String {
        let rate = |counter| row.rates.get(counter).map(count);
        let flow = |counter| row.rates.get(counter).map(bytes);
        let number = |gauge: Option<u64>| gauge.map(|number| count(number as f64));
        let size = |gauge: Option<u64>| gauge.map(|number| bytes(number as f64));
        let cell = match self {
            Column::Program => Some(row.program.clone()).filter(|name| !name.is_empty()),
            Column::Requests => rate(Counter::Requests),
            Column::HitRatio => row.hit_ratio.map(percent),
            Column::Memory => match (size(row.gauges.memory), size(row.gauges.memory_limit)) {
                (Some(used), Some(limit)) => Some(format!("{used}/{limit}")),
                (used, _) => used,
            },
            Column::Items => number(row.gauges.items),
            Column::Connections => number(row.gauges.connections),
            Column::Evictions => rate(Counter::Evictions),
            Column::Expired => rate(Counter::Expired),
            Column::Received => flow(Counter::Received),
            Column::Sent => flow(Counter::Sent),
            Column::Latency => row.latencies.map(|(median, slowest)| {
                format!("{}/{}", milliseconds(median), milliseconds(slowest))
            }),
        };
        cell.unwrap_or_else(|| "-".to_owned())
    }
}

/// The columns of a table, and the width of the one of addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Columns {
    name: usize,
    others: Vec<Column>,
}

impl Columns {
    /// All columns.
    pub(super) fn all(rows: &[Row]) -> Columns {
        Columns {
            name: longest_name(rows),
            others: Column::ORDER.to_vec(),
        }
    }

    /// The columns that fit in a width. Addresses are shortened before columns are left out, but not below 15 characters.
    pub(super) fn within(width: usize, rows: &[Row]) -> Columns {
        let longest = longest_name(rows);
        let mut left = width.saturating_sub(longest.min(15));
        let mut kept = Vec::new();
        for column in Column::IMPORTANCE {
            let wide = column.title().1 + 1;
            if wide > left {
                break;
            }
            left -= wide;
            kept.push(column);
        }
        let others = Column::ORDER.into_iter().filter(|it| kept.contains(it));
        Columns {
            others: others.collect(),
            name: longest.min(longest.min(15) + left).min(width),
        }
    }

    /// The line of titles.
    pub(super) fn titles(&self) -> String {
        let titles = self.others.iter().map(|column| column.title().0.to_owned());
        self.line("SERVER", titles)
    }

    /// The line of a row. A server that isn't up has its state in place of figures.
    pub(super) fn row(&self, row: &Row) -> String {
        match &row.state {
            State::Up => self.line(&row.name, self.others.iter().map(|it| it.cell(row))),
            State::Asked => format!("{} asked, no reply yet", self.name(&row.name)),
            State::Down(reason) => format!("{} DOWN: {reason}", self.name(&row.name)),
        }
    }

    fn line(&self, name: &str, cells: impl Iterator<Item = String>) -> String {
        let mut line = self.name(name);
        for (column, cell) in self.others.iter().zip(cells) {
            let wide = column.title().1;
            line += &format!(" {cell:>wide$}");
        }
        line
    }

    /// A name in the column's width.
    fn name(&self, name: &str) -> String {
        let wide = self.name;
        format!("{:wide$}", end_of(name, wide))
    }
}

fn longest_name(rows: &[Row]) -> usize {
    let names = rows.iter().map(|row| row.name.chars().count());
    names.chain([6]).max().unwrap_or(0).min(LONGEST_NAME)
}

/// An address as it is shown.
pub(super) fn shown_address(address: &str) -> String {
    printable(address, 200)
}
