//! The history of a figure as a sparkline, with its present value before it.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::widgets::{Paragraph, Sparkline};

use super::lines::Lines;
use super::reading::Counter;
use super::text::{both_times, bytes, count, milliseconds, percent};
use super::view::{HISTORY, Point, ServerView};

/// Columns of the name and the value.
const HEAD: u16 = 24;

/// The height of the tallest bar, in parts that no terminal can show.
const FULL: f64 = 1000.0;

/// A figure with a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Series {
    Requests,
    HitRatio,
    Evictions,
    Expired,
    Received,
    Sent,
    Errors,
    /// The time until the reply to a request of this tool.
    Latency,
    /// The time of clients' requests in the server.
    Answers,
}

impl Series {
    pub(super) const ALL: [Series; 9] = [
        Series::Requests,
        Series::HitRatio,
        Series::Evictions,
        Series::Expired,
        Series::Received,
        Series::Sent,
        Series::Errors,
        Series::Latency,
        Series::Answers,
    ];

    /// Whether a server reports the figure. One that is not read reports what most servers do.
    pub(super) fn is_reported(self, view: &ServerView) -> bool {
        let Some(reading) = &view.reading else {
            return !matches!(self, Series::Errors | Series::Answers);
        };
        let counts = |counter| reading.counters.get(counter).is_some();
        match self {
            Series::Requests => counts(Counter::Requests),
            Series::HitRatio => counts(Counter::Hits),
            Series::Evictions => counts(Counter::Evictions),
            Series::Expired => counts(Counter::Expired),
            Series::Received => counts(Counter::Received),
            Series::Sent => counts(Counter::Sent),
            Series::Errors => counts(Counter::Errors),
            Series::Latency => reading.latency.is_some(),
            Series::Answers => !reading.latencies.is_empty(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Series::Requests => "requests/s",
            Series::HitRatio => "hit ratio %",
            Series::Evictions => "evictions/s",
            Series::Expired => "expired/s",
            Series::Received => "bytes in/s",
            Series::Sent => "bytes out/s",
            Series::Errors => "errors/s",
            Series::Latency => "probe ms",
            Series::Answers => "answers ms",
        }
    }

    fn of(self, point: &Point) -> Option<f64> {
        match self {
            Series::Requests => point.requests,
            Series::HitRatio => point.hit_ratio,
            Series::Evictions => point.evictions,
            Series::Expired => point.expired,
            Series::Received => point.received,
            Series::Sent => point.sent,
            Series::Errors => point.errors,
            Series::Latency => point.latency,
            Series::Answers => point.answers,
        }
    }

    /// The present value.
    fn now(self, view: &ServerView) -> String {
        let rate = |counter| view.rate(counter);
        let shown = match self {
            Series::Requests => rate(Counter::Requests).map(count),
            Series::HitRatio => view
                .rates
                .as_ref()
                .and_then(|it| it.hit_ratio())
                .map(percent),
            Series::Evictions => rate(Counter::Evictions).map(count),
            Series::Expired => rate(Counter::Expired).map(count),
            Series::Received => rate(Counter::Received).map(bytes),
            Series::Sent => rate(Counter::Sent).map(bytes),
            Series::Errors => rate(Counter::Errors).map(count),
            Series::Answers => view
                .rates
                .as_ref()
                .and_then(|rates| rates.latencies)
                .map(both_times),
            Series::Latency => view.latencies().map(|(median, slowest)| {
                format!("{}/{}", milliseconds(median), milliseconds(slowest))
            }),
        };
        shown.unwrap_or_else(|| "-".to_owned())
    }
}

/// So many rows for each series: its name, its present value, and its history.
pub(super) fn draw(view: &ServerView, all: &[Series], rows: u16, page: &mut Lines<'_, '_>) {
    for one in all.iter().filter(|one| one.is_reported(view)) {
        let Some(area) = page.next(rows) else { return };
        draw_one(*one, view, page.frame, area);
    }
}

/// Draws it; its name and value are beside the lowest row. The tallest bar is the largest value of the history; of a ratio, all.
/// A value of 0 has the lowest bar, and an interval without a value none.
fn draw_one(series: Series, view: &ServerView, frame: &mut Frame<'_>, area: Rect) {
    let head = format!("  {:<11} {:>9}", series.name(), series.now(view));
    let lowest = Rect {
        y: area.bottom().saturating_sub(1),
        height: area.height.min(1),
        ..area
    };
    frame.render_widget(Paragraph::new(head), lowest);
    let bars = Rect {
        x: area.x + HEAD.min(area.width),
        width: area.width.saturating_sub(HEAD),
        ..area
    };
    if bars.width == 0 {
        return;
    }
    let values: Vec<Option<f64>> = view.history.iter().map(|point| series.of(point)).collect();
    let folded = folded(&values, usize::from(bars.width));
    let largest = match series {
        Series::HitRatio => 1.0,
        _ => folded.iter().flatten().copied().fold(0.0, f64::max),
    };
    let lowest_bar = FULL / f64::from(bars.height.max(1)) / 8.0 + 1.0;
    let height = |value: f64| match largest > 0.0 {
        true => (value / largest * FULL).max(lowest_bar) as u64,
        false => lowest_bar as u64,
    };
    let heights = folded.into_iter().map(|value| value.map(height));
    let sparkline = Sparkline::default()
        .data(heights.collect::<Vec<_>>())
        .max(FULL as u64);
    frame.render_widget(sparkline, bars);
}

/// The history in so many columns, the newest on the right: a column has the mean of its intervals, and none without a
/// value.
fn folded(values: &[Option<f64>], columns: usize) -> Vec<Option<f64>> {
    let each = HISTORY.div_ceil(columns);
    let mean = |values: &[Option<f64>]| {
        let known: Vec<f64> = values.iter().flatten().copied().collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    };
    let mut folded: Vec<Option<f64>> = values.rchunks(each).map(mean).collect();
    folded.resize(columns.max(folded.len()), None);
    folded.reverse();
    folded.split_off(folded.len() - columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_is_folded_into_the_columns_with_the_newest_on_the_right() {
        let three = [Some(1.0), None, Some(3.0)];
        assert_eq!(folded(&three, 180)[177..], three);
        assert_eq!(folded(&three, 90)[88..], [Some(1.0), Some(3.0)]);
        assert_eq!(folded(&three, 1), [Some(2.0)]);
        assert_eq!(folded(&[], 2), [None, None]);
        let all: Vec<Option<f64>> = (0..HISTORY).map(|it| Some(it as f64)).collect();
        assert_eq!(folded(&all, 2), [Some(44.5), Some(134.5)]);
    }
}
