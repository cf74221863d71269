//! The page of one server.

use ratatui::style::Style;

use super::lines::{Lines, bold};
use super::reading::{Reading, UpstreamFigures};
use super::row::Row;
use super::series::{self, Series};
use super::text::{bytes, count, long_time, milliseconds, percent};
use super::view::{ServerView, State};

/// Columns of a kind of requests and its rate.
const KIND: usize = 26;

/// The first line.
pub(super) fn title(view: &ServerView) -> String {
    let Some(reading) = &view.reading else {
        return view.address.clone();
    };
    let up = match reading.uptime {
        Some(seconds) => format!(", up {}", long_time(seconds)),
        None => String::new(),
    };
    format!(
        "{}  {} {}{up}",
        view.address, reading.program, reading.version
    )
}

/// All figures.
pub(super) fn draw(view: &ServerView, page: &mut Lines<'_, '_>) {
    match &view.state {
        State::Down(reason) => {
            let style = page.alarm(Style::new());
            page.put(&format!("  DOWN: {reason}"), style);
            page.put("  It is asked again in each interval.", Style::new());
        }
        State::Asked => page.put("  asked, no reply yet", Style::new()),
        State::Up => {}
    }
    series::draw(view, &Series::ALL, 1, page);
    let Some(reading) = &view.reading else { return };
    gauges(view, page);
    let rates = view.rates.as_ref();
    for (heading, rates) in [
        (
            "requests/s by protocol",
            rates.map(|rates| &rates.protocols),
        ),
        ("requests/s by kind", rates.map(|rates| &rates.kinds)),
    ] {
        if let Some(rates) = rates.filter(|rates| !rates.is_empty()) {
            page.put(heading, bold());
            named(rates, page);
        }
    }
    if !reading.upstreams.is_empty() {
        upstreams(view, reading, page);
    }
}

/// Memory, items and connections.
fn gauges(view: &ServerView, page: &mut Lines<'_, '_>) {
    let row = Row::of(view);
    let gauges = row.gauges;
    let size = |size: u64| bytes(size as f64);
    if let Some(used) = gauges.memory {
        let limit = gauges.memory_limit.map(size);
        let limit = limit.map_or("without a limit".to_owned(), |limit| format!("of {limit}"));
        let part = row.memory_part().map(percent);
        let part = part.map_or(String::new(), |part| format!(", {part}%"));
        page.put(
            &format!("  memory {} {limit}{part}", size(used)),
            Style::new(),
        );
    }
    let number = |number: Option<u64>| number.map_or("-".to_owned(), |it| count(it as f64));
    let most = gauges.max_connections;
    let most = most.map_or(String::new(), |most| format!(" of {}", count(most as f64)));
    let since_start = view.hit_ratio_since_start().map(percent);
    let since_start = since_start.map_or("-".to_owned(), |part| format!("{part}%"));
    let line = format!(
        "  items {}  connections {}{most}  hit ratio since start {since_start}",
        number(gauges.items),
        number(gauges.connections),
    );
    page.put(&line, Style::new());
}

/// Names and rates, several in a line.
fn named(rates: &[(String, f64)], page: &mut Lines<'_, '_>) {
    let columns = (usize::from(page.width()) / KIND).max(1);
    for line in rates.chunks(columns) {
        let cells = line
            .iter()
            .map(|(name, rate)| format!("  {:<1$}", format!("{name} {}", count(*rate)), KIND - 2));
        page.put(&cells.collect::<String>(), Style::new());
    }
}

/// The servers behind a proxy.
fn upstreams(view: &ServerView, reading: &Reading, page: &mut Lines<'_, '_>) {
    page.put("servers behind it", bold());
    let longest = reading
        .upstreams
        .iter()
        .map(|it| it.address.chars().count());
    let wide = longest.max().unwrap_or(0).clamp(6, 40);
    let heading = format!(
        "  {:<wide$} {:<8} {:>6} {:>5} {:>6} {:>9} {:>13}",
        "SERVER", "STATE", "REQ/S", "CONNS", "ERRORS", "IN FLIGHT", "P50/P99 ms"
    );
    page.put(&heading, Style::new());
    let rate_of = |upstream: &UpstreamFigures| {
        let rates = view.rates.as_ref()?;
        let found = rates.upstreams.iter().find(|it| it.0 == upstream.address);
        Some(found.map_or(0.0, |(_, rate)| *rate))
    };
    for upstream in &reading.upstreams {
        let line = format!(
            "  {:<wide$} {:<8} {:>6} {:>5} {:>6} {:>9} {:>13}",
            upstream.address,
            upstream.state,
            rate_of(upstream).map_or("-".to_owned(), count),
            upstream.connections,
            count(upstream.errors as f64),
            upstream.in_flight,
            format!(
                "{}/{}",
                milliseconds(upstream.median),
                milliseconds(upstream.p99)
            ),
        );
        page.put(&line, Style::new());
    }
}
