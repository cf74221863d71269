//! The lists of one server's page: its requests by protocol and command, and the servers behind it.

use ratatui::style::Style;

use super::lines::{Lines, bold};
use super::rates::{CommandRate, Rates};
use super::reading::{Reading, TargetFigures};
use super::text::{both_times, count, end_of, long_time};
use super::view::ServerView;

/// Columns of a kind of requests and its rate.
const KIND: usize = 26;

/// Commands that are listed above the servers behind a server.
const BUSIEST: usize = 5;

/// Columns of the longest name of a server that is shown whole.
const LONGEST_NAME: usize = 40;

/// All lists that have something.
pub(super) fn draw(view: &ServerView, reading: &Reading, page: &mut Lines<'_, '_>) {
    if let Some(rates) = &view.rates {
        requests(rates, reading, page);
    }
    if !reading.targets.is_empty() {
        targets(view, reading, page);
    }
    if !reading.upstreams.is_empty() {
        upstreams(view, reading, page);
    }
}

fn requests(rates: &Rates, reading: &Reading, page: &mut Lines<'_, '_>) {
    for (heading, rates) in [
        ("requests/s by protocol", &rates.protocols),
        ("requests/s by kind", &rates.kinds),
    ] {
        if !rates.is_empty() {
            page.put(heading, bold());
            named(rates, page);
        }
    }
    if !rates.commands.is_empty() {
        let all = reading.upstreams.is_empty() && reading.targets.is_empty();
        let most = if all { usize::MAX } else { BUSIEST };
        commands(&rates.commands, most, page);
    }
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

/// The busiest commands, as many as fit. Without latencies there are several in a line.
fn commands(commands: &[CommandRate], most: usize, page: &mut Lines<'_, '_>) {
    if commands.iter().all(|it| it.latencies.is_none()) {
        page.put("requests/s by command", bold());
        let name = |it: &CommandRate| format!("{} {}", it.protocol, it.command);
        let rates = commands.iter().map(|it| (name(it), it.rate));
        named(&rates.collect::<Vec<_>>(), page);
        return;
    }
    let wide = commands.iter().map(|it| it.command.chars().count());
    let wide = wide.max().unwrap_or(0).max(7);
    let heading = format!("  {:<wide$} PROTOCOL  REQ/S    P50/P99 ms", "COMMAND");
    page.put(&heading, bold());
    list(commands, most, page, |it| {
        format!(
            "  {:<wide$} {:<8} {:>6} {:>13}",
            it.command,
            it.protocol,
            count(it.rate),
            it.latencies.map_or("-".to_owned(), both_times),
        )
    });
}

/// A line for each, as many as fit. If these are not all, the last line tells how many are left out.
fn list<T>(all: &[T], most: usize, page: &mut Lines<'_, '_>, line: impl Fn(&T) -> String) {
    let room = room(page).min(most);
    let shown = match all.len() > room {
        true => room.saturating_sub(1),
        false => all.len(),
    };
    for one in &all[..shown] {
        page.put(&line(one), Style::new());
    }
    if all.len() > shown {
        page.put(&format!("  and {} more", all.len() - shown), Style::new());
    }
}

/// Lines above that of the keys.
fn room(page: &Lines<'_, '_>) -> usize {
    usize::from(page.left()).saturating_sub(1)
}

/// The width of a column with the names of servers.
fn width_of<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    let longest = names.map(|name| name.chars().count()).max();
    longest.unwrap_or(0).clamp(6, LONGEST_NAME)
}

/// Servers in their order; if not all of them fit, those in trouble come first.
fn in_order<'a, T>(
    servers: &'a [T],
    page: &Lines<'_, '_>,
    is_well: impl Fn(&T) -> bool,
) -> Vec<&'a T> {
    let mut servers: Vec<&T> = servers.iter().collect();
    if servers.len() > room(page) {
        servers.sort_by_key(|server| is_well(server));
    }
    servers
}

/// The servers of an invalidation server.
fn targets(view: &ServerView, reading: &Reading, page: &mut Lines<'_, '_>) {
    page.put("servers that get deletes", bold());
    let wide = width_of(reading.targets.iter().map(|it| &*it.name));
    let heading = format!(
        "  {:<wide$} {:<11} {:>7} {:>7} {:>11} {:>7} {:>7}",
        "SERVER", "STATE", "WAITING", "OLDEST", "DELIVERED/S", "RETRIES", "FLUSHES"
    );
    page.put(&heading, Style::new());
    let rate_of = |target: &TargetFigures| {
        let rates = view.rates.as_ref()?;
        let found = rates.targets.iter().find(|it| it.0 == target.name);
        Some(found.map_or(0.0, |(_, rate)| *rate))
    };
    let targets = in_order(&reading.targets, page, |it| it.state == "up to date");
    list(&targets, usize::MAX, page, |target| {
        format!(
            "  {:<wide$} {:<11} {:>7} {:>7} {:>11} {:>7} {:>7}",
            end_of(&target.name, wide),
            target.state,
            count(target.waiting as f64),
            long_time(target.oldest),
            rate_of(target).map_or("-".to_owned(), count),
            count(target.retries as f64),
            count(target.flushes as f64),
        )
    });
}

/// The servers behind a proxy.
fn upstreams(view: &ServerView, reading: &Reading, page: &mut Lines<'_, '_>) {
    page.put("servers behind it", bold());
    let wide = width_of(reading.upstreams.iter().map(|it| &*it.address));
    let heading = format!(
        "  {:<wide$} {:<8} {:>6} {:>5} {:>6} {:>9} {:>13}",
        "SERVER", "STATE", "REQ/S", "CONNS", "ERRORS", "IN FLIGHT", "P50/P99 ms"
    );
    page.put(&heading, Style::new());
    let rate_of = |address: &str| {
        let rates = view.rates.as_ref()?;
        Some(rates.upstreams.get(address)?.requests)
    };
    let upstreams = in_order(&reading.upstreams, page, |it| it.state == "up");
    list(&upstreams, usize::MAX, page, |upstream| {
        format!(
            "  {:<wide$} {:<8} {:>6} {:>5} {:>6} {:>9} {:>13}",
            end_of(&upstream.address, wide),
            upstream.state,
            rate_of(&upstream.address).map_or("-".to_owned(), count),
            upstream.connections,
            count(upstream.errors as f64),
            upstream.in_flight,
            view.latencies_of(upstream)
                .map_or("-".to_owned(), both_times),
        )
    });
}
