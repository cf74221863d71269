//! The state of the screen: which servers, in which order, on which page. Keys and readings change it.

use std::time::{Duration, Instant};

use super::reading::Counter;
use super::row::Row;
use super::view::{Sampled, ServerView};

/// The page that the screen shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    Table,
    /// All figures of the selected server.
    Detail,
    Help,
}

/// The order of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Given,
    Requests,
    HitRatio,
    Memory,
    Evictions,
    Latency,
}

/// A key with a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Quit,
    Up,
    Down,
    Enter,
    Back,
    Sort,
    Pause,
    Help,
}

/// The state.
#[derive(Debug)]
pub(super) struct App {
    views: Vec<ServerView>,
    /// The views that are shown while the screen is paused.
    paused: Option<Vec<ServerView>>,
    /// The number of a server, so that another order leaves it selected.
    selected: usize,
    pub(super) sort: Sort,
    pub(super) page: Page,
    pub(super) interval: Duration,
    /// Whether colours may be used. No meaning depends on them.
    pub(super) colours: bool,
}

impl Sort {
    pub(super) fn in_words(self) -> &'static str {
        match self {
            Sort::Given => "as given",
            Sort::Requests => "requests",
            Sort::HitRatio => "lowest hit ratio",
            Sort::Memory => "memory",
            Sort::Evictions => "evictions",
            Sort::Latency => "slowest reply",
        }
    }

    fn next(self) -> Sort {
        match self {
            Sort::Given => Sort::Requests,
            Sort::Requests => Sort::HitRatio,
            Sort::HitRatio => Sort::Memory,
            Sort::Memory => Sort::Evictions,
            Sort::Evictions => Sort::Latency,
            Sort::Latency => Sort::Given,
        }
    }

    /// A number by which the server with the largest comes first.
    fn weight(self, row: &Row) -> Option<f64> {
        match self {
            Sort::Given => None,
            Sort::Requests => row.rates.get(Counter::Requests),
            Sort::HitRatio => row.hit_ratio.map(|ratio| 1.0 - ratio),
            Sort::Memory => row.memory_part(),
            Sort::Evictions => row.rates.get(Counter::Evictions),
            Sort::Latency => row.latencies.map(|(_, slowest)| slowest.as_secs_f64()),
        }
    }
}

impl App {
    /// At least one view.
    pub(super) fn new(views: Vec<ServerView>, interval: Duration, colours: bool) -> App {
        App {
            views,
            paused: None,
            selected: 0,
            sort: Sort::Given,
            page: Page::Table,
            interval,
            colours,
        }
    }

    /// Takes the outcome of asking a server.
    pub(super) fn update(&mut self, number: usize, sampled: Sampled, at: Instant) {
        if let Some(view) = self.views.get_mut(number) {
            view.update(sampled, at);
        }
    }

    /// Takes a key. Returns whether the screen stays open.
    pub(super) fn press(&mut self, key: Key) -> bool {
        match (key, self.page) {
            (Key::Quit, _) => return false,
            (Key::Help, Page::Help) | (Key::Back, _) => self.page = Page::Table,
            (Key::Help, _) => self.page = Page::Help,
            (Key::Enter, Page::Table) => self.page = Page::Detail,
            (Key::Enter, _) => self.page = Page::Table,
            (Key::Up, _) => self.select(-1),
            (Key::Down, _) => self.select(1),
            (Key::Sort, _) => self.sort = self.sort.next(),
            (Key::Pause, _) => {
                self.paused = match self.paused {
                    None => Some(self.views.clone()),
                    Some(_) => None,
                };
            }
        }
        true
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    fn shown(&self) -> &[ServerView] {
        self.paused.as_ref().unwrap_or(&self.views)
    }

    /// The server whose details are shown.
    pub(super) fn selected(&self) -> &ServerView {
        &self.shown()[self.selected]
    }

    /// The rows in their order, each with the number of its server. Those without the figure that decides come last.
    pub(super) fn rows(&self) -> Vec<(usize, Row)> {
        let mut rows: Vec<_> = self.shown().iter().map(Row::of).enumerate().collect();
        let weight = |row: &Row| self.sort.weight(row).unwrap_or(f64::NEG_INFINITY);
        rows.sort_by(|one, other| weight(&other.1).total_cmp(&weight(&one.1)));
        rows
    }

    pub(super) fn is_selected(&self, number: usize) -> bool {
        number == self.selected
    }

    fn select(&mut self, steps: isize) {
        let rows = self.rows();
        let place = rows.iter().position(|row| row.0 == self.selected);
        let place = place.unwrap_or(0).saturating_add_signed(steps);
        self.selected = rows[place.min(rows.len() - 1)].0;
    }
}
