//! The screen: a page as lines of text, from the state. Lines that don't fit are left out.
//!
//! Meaning is in letters and marks: the selected server has a `>`, one that is down says so. Bold, reversed and coloured text
//! only repeats that.

use ratatui::Frame;
use ratatui::style::{Modifier, Style};

use super::app::{App, Page};
use super::columns::Columns;
use super::detail;
use super::lines::{Lines, bold};
use super::row::Row;
use super::series::{self, Series};
use super::text::long_time;
use super::view::{HISTORY, State};

const KEYS: &str = "q quit  up/down select  enter details  s sort  p pause  ? help";

const HELP: &str = "\
REQ/S    requests in a second. memcached counts each key of a get;
         Redis counts commands, those of this tool too
HIT%     reads of the last interval that found their key
MEMORY   memory used and its limit
EVICT/S  items removed in a second because the memory was full
EXPIRE/S items in a second whose lifetime had ended
IN, OUT  network traffic of the server in bytes
PROBE ms time until the reply to a small request of this tool:
         the median and the slowest of the last 60
answers  times of clients' requests, which only --admin reports: the
         median and the 99th percentile of the interval
-        the server doesn't report the figure, or its counters
         went back in this interval

q, Ctrl-C  quit            up, down (k, j)  select a server
enter      its details     esc              back
s          another order   p                pause the screen";

/// Rows of the series below the table at least, with the line above them.
const SERIES_ROWS: u16 = 5;

/// Rows of one of them at most.
const TALLEST: u16 = 4;

/// Draws the page.
pub(super) fn draw(app: &App, frame: &mut Frame<'_>) {
    let mut page = Lines::of(frame, app.colours);
    let state = if app.is_paused() { "  PAUSED" } else { "" };
    match app.page {
        Page::Table => {
            let (interval, sort) = (app.interval, app.sort.in_words());
            page.put(
                &format!("larder top  every {interval:?}, order: {sort}{state}"),
                bold(),
            );
            table(app, &mut page);
        }
        Page::Detail => {
            let view = app.selected();
            page.put(&format!("{}{state}", detail::title(view)), bold());
            detail::draw(view, &mut page);
        }
        Page::Help => {
            page.put(&format!("larder top: help{state}"), bold());
            for line in HELP.lines() {
                page.put(line, Style::new());
            }
        }
    }
    page.footer(KEYS);
}

fn table(app: &App, page: &mut Lines<'_, '_>) {
    let rows = app.rows();
    let mut all: Vec<Row> = rows.iter().map(|(_, row)| row.clone()).collect();
    let total = (all.len() > 1).then(|| Row::total(&all));
    all.extend(total.clone());
    // The mark of the selected server is before the first column.
    let columns = Columns::within(usize::from(page.width().saturating_sub(1)), &all);
    page.put(&format!(" {}", columns.titles()), bold());
    // Titles, the total and the keys are always there.
    let room = page.left().saturating_sub(1 + u16::from(total.is_some()));
    let with_series = room >= SERIES_ROWS + 4;
    let room = usize::from(if with_series {
        room - SERIES_ROWS
    } else {
        room
    });
    let place = rows.iter().position(|(number, _)| app.is_selected(*number));
    let first = (place.unwrap_or(0) + 1).saturating_sub(room);
    for (number, row) in rows.iter().skip(first).take(room) {
        let is_down = matches!(row.state, State::Down(_));
        let (mark, style) = match app.is_selected(*number) {
            true => ('>', Style::new().add_modifier(Modifier::REVERSED)),
            false => (' ', Style::new()),
        };
        let style = if is_down { page.alarm(style) } else { style };
        page.put(&format!("{mark}{}", columns.row(row)), style);
    }
    if let Some(total) = total {
        page.put(&format!(" {}", columns.row(&total)), bold());
    }
    if with_series {
        let view = app.selected();
        let mut all = vec![
            Series::Requests,
            Series::HitRatio,
            Series::Evictions,
            Series::Latency,
            Series::Answers,
            Series::Errors,
        ];
        all.retain(|one| one.is_reported(view));
        all.truncate(4);
        let span = long_time(app.interval.as_secs_f64().mul_add(HISTORY as f64, 0.5) as u64);
        page.put(&format!("{}, the last {span}:", view.address), Style::new());
        let rows = page.left().saturating_sub(1) / all.len().max(1) as u16;
        series::draw(view, &all, rows.clamp(1, TALLEST), page);
    }
}
