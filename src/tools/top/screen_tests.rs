//! The screen, drawn into a buffer: exact lines for chosen states and sizes.

use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Modifier;

use super::app::{App, Key, Page};
use super::draw::draw;
use super::reading::{Latencies, Reading, UpstreamFigures};
use super::tests::{memcached, refusing, watched};
use super::view::{Sampled, ServerView};

pub(super) fn app(views: Vec<ServerView>) -> App {
    App::new(views, Duration::from_secs(1), false)
}

fn pool() -> App {
    app(vec![
        watched(
            "127.0.0.1:11211",
            (0..4).map(|at| memcached(at, at * at * 1000)).collect(),
        ),
        watched(
            "127.0.0.1:11212",
            (0..4).map(|at| memcached(at, 800 + at * 4)).collect(),
        ),
        refusing("127.0.0.1:6379"),
    ])
}

fn drawn(app: &App, width: u16, height: u16) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a buffer");
    terminal.draw(|frame| draw(app, frame)).expect("drawn");
    terminal
}

pub(super) fn lines(app: &App, width: u16, height: u16) -> Vec<String> {
    let terminal = drawn(app, width, height);
    let buffer = terminal.backend().buffer();
    let row = |y| {
        (0..width)
            .map(move |x| buffer[(x, y)].symbol())
            .collect::<String>()
    };
    (0..height).map(|y| row(y).trim_end().to_owned()).collect()
}

#[track_caller]
pub(super) fn shows(app: &App, (width, height): (u16, u16), expected: &str) {
    let shown = lines(app, width, height).join("\n");
    assert_eq!(shown, expected, "\n{shown}\n");
}

#[test]
fn the_table_fits_in_80_columns() {
    shows(
        &pool(),
        (80, 24),
        "\
larder top  every 1s, order: as given
 SERVER            PROGRAM REQ/S  HIT%      MEMORY ITEMS CONNS EVICT/S  PROBE ms
>127.0.0.1:11211 memcached 5.50k  75.0 1.00M/64.0M 1.23k    10       0 0.12/0.12
 127.0.0.1:11212 memcached     5  75.0 1.00M/64.0M 1.23k    10       0 0.12/0.12
 127.0.0.1:6379  DOWN: refused the connection
 total, 2/3 up           - 5.50k  75.0  2.00M/128M 2.47k    20       0 0.12/0.12
127.0.0.1:11211, the last 3m:
                                                                               █
                                                                               █
                                                                               █
  requests/s      5.50k                                                        █

                                                                               █
                                                                               █
  hit ratio %      75.0                                                        █



  evictions/s         0                                                        ▁
                                                                               █
                                                                               █
                                                                               █
  probe ms    0.12/0.12                                                        █
q quit  up/down select  enter details  s sort  p pause  ? help",
    );
}

#[test]
fn the_details_of_a_server_fit_in_80_columns() {
    let mut app = pool();
    assert!(app.press(Key::Enter));
    shows(
        &app,
        (80, 24),
        "\
127.0.0.1:11211  memcached 1.6.45, up 3s
  requests/s      5.50k                                                        █
  hit ratio %      75.0                                                        ▆
  evictions/s         0                                                        ▁
  expired/s           0                                                        ▁
  bytes in/s       146K                                                        █
  bytes out/s      488K                                                        █
  probe ms    0.12/0.12                                                        █
  memory 1.00M of 64.0M, 1.5%
  items 1.23k  connections 10 of 1.02k  hit ratio since start 75.0%
requests/s by kind
  get 5.00k                 set 500











q quit  up/down select  enter details  s sort  p pause  ? help",
    );
}

#[test]
fn a_server_that_is_down_has_its_reason_on_both_pages() {
    let mut app = pool();
    assert!(app.press(Key::Down) && app.press(Key::Down) && app.press(Key::Down));
    assert!(lines(&app, 80, 24)[4].starts_with(">127.0.0.1:6379  DOWN: refused the connection"));
    assert!(app.press(Key::Enter));
    assert_eq!(
        lines(&app, 80, 24)[..2],
        ["127.0.0.1:6379", "  DOWN: refused the connection"]
    );
}

#[test]
fn small_screens_show_what_fits() {
    shows(
        &pool(),
        (30, 4),
        "\
larder top  every 1s, order: a
 SERVER          REQ/S  HIT%
 total, 2/3 up   5.50k  75.0
q quit  up/down select  enter",
    );
    let mut app = pool();
    for key in [Key::Back, Key::Enter, Key::Help] {
        assert!(app.press(key));
        for width in [1, 2, 7, 15, 23, 24, 25, 40, 79, 300] {
            for height in [1, 2, 3, 4, 5, 9, 10, 100] {
                assert_eq!(lines(&app, width, height).len(), usize::from(height));
            }
        }
    }
}

#[test]
fn a_list_longer_than_the_screen_is_scrolled_to_the_selected_server() {
    let views = (0..50).map(|number| refusing(&format!("10.0.0.{number}:1")));
    let mut app = app(views.collect());
    for _ in 0..40 {
        assert!(app.press(Key::Down));
    }
    let shown = lines(&app, 60, 10);
    assert!(
        shown.iter().any(|line| line.starts_with(">10.0.0.40:1")),
        "{shown:?}"
    );
    for _ in 0..60 {
        assert!(app.press(Key::Up));
    }
    assert!(lines(&app, 60, 10)[2].starts_with(">10.0.0.0:1"));
}

#[test]
fn other_orders_keep_the_selected_server() {
    let mut app = pool();
    assert!(app.press(Key::Down));
    let first = |app: &App| {
        let lines = lines(app, 80, 24);
        let order = lines[0]
            .split("order: ")
            .nth(1)
            .expect("its name")
            .to_owned();
        assert!(
            lines
                .iter()
                .any(|line| line.starts_with(">127.0.0.1:11212")),
            "{lines:?}"
        );
        (
            order,
            lines[2][1..]
                .split(' ')
                .next()
                .expect("an address")
                .to_owned(),
        )
    };
    for (order, address) in [
        ("requests", "127.0.0.1:11211"),
        ("lowest hit ratio", "127.0.0.1:11211"),
        ("memory", "127.0.0.1:11211"),
        ("evictions", "127.0.0.1:11211"),
        ("slowest reply", "127.0.0.1:11211"),
        ("as given", "127.0.0.1:11211"),
    ] {
        assert!(app.press(Key::Sort));
        assert_eq!(first(&app), (order.to_owned(), address.to_owned()));
    }
}

#[test]
fn a_paused_screen_stays_as_it_is() {
    let mut app = pool();
    assert!(app.press(Key::Pause));
    let before = lines(&app, 80, 24);
    assert!(before[0].ends_with("PAUSED"));
    app.update(0, Sampled::Down("gone".into()), Instant::now());
    assert_eq!(lines(&app, 80, 24), before);
    assert!(app.press(Key::Pause));
    assert!(lines(&app, 80, 24)[2].ends_with("DOWN: gone"));
}

#[test]
fn keys_open_and_leave_pages() {
    let mut app = pool();
    for (key, page) in [
        (Key::Enter, Page::Detail),
        (Key::Help, Page::Help),
        (Key::Help, Page::Table),
        (Key::Back, Page::Table),
        (Key::Enter, Page::Detail),
        (Key::Back, Page::Table),
    ] {
        assert!(app.press(key));
        assert_eq!(app.page, page);
    }
    assert!(!app.press(Key::Quit));
}

#[test]
fn colours_only_repeat_what_is_written() {
    let mut app = pool();
    let colourful = |app: &App| {
        let terminal = drawn(app, 80, 24);
        let cells = terminal.backend().buffer().content().iter();
        cells
            .filter(|cell| cell.fg != ratatui::style::Color::Reset)
            .count()
    };
    assert_eq!(colourful(&app), 0);
    let plain = lines(&app, 80, 24);
    app.colours = true;
    assert!(colourful(&app) > 0);
    assert_eq!(lines(&app, 80, 24), plain);
    let terminal = drawn(&app, 80, 24);
    let selected = &terminal.backend().buffer()[(0, 2)];
    assert_eq!(
        (selected.symbol(), selected.modifier),
        (">", Modifier::REVERSED)
    );
}

/// A proxy in front of two servers.
fn proxy(second: u64) -> Reading {
    let upstream = |address: &str, state: &str, requests| UpstreamFigures {
        address: address.to_owned(),
        state: state.to_owned(),
        connections: 2,
        requests,
        errors: 3,
        in_flight: 1,
        latencies: Latencies::SinceStart([0.00015, 0.0025]),
    };
    let upstreams = vec![
        upstream("10.0.0.1:11211", "up", second * 1500),
        upstream("10.0.0.2:11211", "ejected", 70),
    ];
    memcached(second, second * 2000).with_upstreams(upstreams)
}

#[test]
fn a_proxy_has_the_servers_behind_it() {
    let mut app = app(vec![watched("127.0.0.1:12345", vec![proxy(1), proxy(2)])]);
    assert!(app.press(Key::Enter));
    let shown = lines(&app, 80, 24);
    let from = shown.iter().position(|line| line == "servers behind it");
    assert_eq!(
        shown[from.expect("a heading")..][1..4],
        [
            "  SERVER         STATE     REQ/S CONNS ERRORS IN FLIGHT    P50/P99 ms",
            "  10.0.0.1:11211 up        1.50k     2      3         1     0.15/2.50",
            "  10.0.0.2:11211 ejected       0     2      3         1     0.15/2.50",
        ]
    );
}

#[test]
fn of_more_servers_than_fit_those_in_trouble_come_first_and_long_names_have_their_end() {
    let name = |number: usize| format!("cache-{number}.a-rack-with-a-long-name.example:11211");
    let upstreams = (0..100).map(|number| UpstreamFigures {
        address: name(number),
        state: if number == 77 { "ejected" } else { "up" }.to_owned(),
        ..UpstreamFigures::default()
    });
    let reading = memcached(1, 1).with_upstreams(upstreams.collect());
    let mut app = app(vec![watched("127.0.0.1:12345", vec![reading])]);
    assert!(app.press(Key::Enter));
    let shown = lines(&app, 120, 24);
    let from = shown.iter().position(|line| line == "servers behind it");
    let list = &shown[from.expect("a heading") + 2..23];
    assert!(
        list[0].starts_with("  …7.a-rack-with-a-long-name.example:11211 ejected"),
        "{list:?}"
    );
    assert!(
        list[1].starts_with("  …0.a-rack-with-a-long-name.example:11211 up"),
        "{list:?}"
    );
    assert_eq!(
        list[list.len() - 1],
        format!("  and {} more", 100 - (list.len() - 1))
    );
}
