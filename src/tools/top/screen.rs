//! The terminal: keys, signals and readings to the state, and the state to the screen.
//!
//! Invariant: the terminal is as it was before, however this ends: by a key, a signal, an error or a panic.
//!
//! Cost: it wakes up ten times a second for signals and readings, and draws only after a change.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use super::app::{App, Key};
use super::draw::draw;
use super::sampler::Sampler;

/// The longest time until a signal or a reading is noticed.
const TICK: Duration = Duration::from_millis(100);

/// Shows the state until a key or a signal ends it.
pub(super) fn show(mut app: App, sampler: &Sampler) -> Result<(), String> {
    let ended = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT, SIGQUIT, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&ended)).map_err(failed)?;
    }
    let mut screen = Screen::open().map_err(failed)?;
    let mut changed = true;
    while !ended.load(Relaxed) {
        sampler.check()?;
        while let Ok((number, sampled, at)) = sampler.outcomes.try_recv() {
            app.update(number, sampled, at);
            changed = true;
        }
        if changed {
            let drawn = screen.0.draw(|frame| draw(&app, frame));
            drawn.map_err(failed)?;
        }
        changed = event::poll(TICK).map_err(failed)?;
        if changed && !take(&event::read().map_err(failed)?, &mut app) {
            return Ok(());
        }
    }
    Ok(())
}

fn failed(error: io::Error) -> String {
    format!("the terminal: {error}")
}

/// Takes an event of the terminal. Returns whether the screen stays open.
fn take(event: &Event, app: &mut App) -> bool {
    match event {
        Event::Key(pressed) => key(pressed).is_none_or(|key| app.press(key)),
        _ => true,
    }
}

fn key(pressed: &KeyEvent) -> Option<Key> {
    if pressed.kind == KeyEventKind::Release {
        return None;
    }
    if pressed.modifiers.contains(KeyModifiers::CONTROL) {
        return (pressed.code == KeyCode::Char('c')).then_some(Key::Quit);
    }
    Some(match pressed.code {
        KeyCode::Char('q') => Key::Quit,
        KeyCode::Up | KeyCode::Char('k') => Key::Up,
        KeyCode::Down | KeyCode::Char('j') => Key::Down,
        KeyCode::Enter | KeyCode::Right => Key::Enter,
        KeyCode::Esc | KeyCode::Left | KeyCode::Backspace => Key::Back,
        KeyCode::Char('s') => Key::Sort,
        KeyCode::Char('p') => Key::Pause,
        KeyCode::Char('?' | 'h') => Key::Help,
        _ => return None,
    })
}

/// The terminal in the state that this screen needs, until this is dropped. A panic puts it back before its message.
pub(super) struct Screen(DefaultTerminal);

impl Screen {
    pub(super) fn open() -> io::Result<Screen> {
        ratatui::try_init().map(Screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}
