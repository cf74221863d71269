//! The page of one server.

use ratatui::style::Style;

use super::lines::{Lines, bold};
use super::row::Row;
use super::series::{self, Series};
use super::tables;
use super::text::{bytes, count, long_time, percent};
use super::view::{ServerView, State};

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
    if view.reading.as_ref().and_then(|it| it.healthy) == Some(false) {
        let style = page.alarm(bold());
        page.put("  NOT HEALTHY: its page /healthz has the reason", style);
    }
    series::draw(view, &Series::ALL, 1, page);
    let Some(reading) = &view.reading else { return };
    gauges(view, page);
    tables::draw(view, reading, page);
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
    let connections = format!("  connections {}{most}", number(gauges.connections));
    // A proxy that is asked by its admin listener has no items.
    let line = match gauges.items.or(gauges.memory) {
        None => connections,
        Some(_) => format!(
            "  items {}{connections}  hit ratio since start {since_start}",
            number(gauges.items)
        ),
    };
    page.put(&line, Style::new());
}
