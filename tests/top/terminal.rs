//! The screen in a terminal: a pseudo-terminal, whose other end reads the screen and presses keys.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use larder::Server;
use nix::libc::O_NOCTTY;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use super::PATIENCE;

/// Leaves the screen that programs draw on, and shows the cursor.
const LEFT: &str = "\x1b[?1049l";
const CURSOR: &str = "\x1b[?25h";

/// `larder top` in a terminal.
struct Screen {
    child: Child,
    /// The side of the person.
    keys: File,
    /// The side of the program, to read its settings.
    terminal: File,
    before: Termios,
    printed: Receiver<String>,
    seen: String,
}

impl Screen {
    fn start(arguments: &[&str]) -> Screen {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
        grantpt(&ours)
            .and_then(|()| unlockpt(&ours))
            .expect("its other side");
        let path = ptsname(&ours, Vec::new()).expect("its name");
        let terminal = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(O_NOCTTY)
            .open(path.to_str().expect("text"))
            .expect("its other side");
        set_size(&ours, 80, 24);
        let before = tcgetattr(&terminal).expect("its settings");
        let side = || terminal.try_clone().expect("a copy");
        let child = Command::new(env!("CARGO_BIN_EXE_larder"))
            .args(["top", "--interval", "100ms", "--timeout", "60s"])
            .args(arguments)
            .stdin(side())
            .stdout(side())
            .stderr(side())
            .spawn()
            .expect("it starts");
        let keys = File::from(ours);
        let printed = printed(keys.try_clone().expect("a copy"));
        Screen {
            child,
            keys,
            terminal,
            before,
            printed,
            seen: String::new(),
        }
    }

    /// Waits until this is printed behind everything that was awaited before.
    #[track_caller]
    fn shows(&mut self, text: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(place) = self.seen.find(text) {
                self.seen.drain(..place + text.len());
                return;
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.printed.recv_timeout(left) {
                Ok(more) => self.seen += &more,
                Err(error) => panic!("{error}: no {text:?} in {:?}", self.seen),
            }
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("pressed");
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("sent");
    }

    fn ends(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("its status") {
                return status;
            }
            assert!(Instant::now() < end, "it runs on");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// It ends without an error and leaves the terminal as it was.
    #[track_caller]
    fn ends_well(&mut self) {
        assert!(self.ends().success());
        self.shows(LEFT);
        self.shows(CURSOR);
        let after = tcgetattr(&self.terminal).expect("its settings");
        assert_eq!(settings(&after), settings(&self.before));
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn set_size(terminal: impl AsFd, columns: u16, rows: u16) {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(terminal, size).expect("its size");
}

fn settings(terminal: &Termios) -> String {
    format!(
        "{:?} {:?} {:?} {:?}",
        terminal.input_modes, terminal.output_modes, terminal.control_modes, terminal.local_modes
    )
}

/// The output, read by a thread, so that the program never waits for this test.
fn printed(mut side: File) -> Receiver<String> {
    let (sender, printed) = mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = side.read(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
            if sender.send(text).is_err() {
                return;
            }
        }
    });
    printed
}

#[test]
fn keys_lead_through_the_pages_and_q_restores_the_terminal() {
    let server = Server::start().expect("free ports");
    let addresses = [server.memcached_addr(), server.resp_addr()].map(|it| it.to_string());
    let mut screen = Screen::start(&[&addresses[0], &addresses[1]]);
    screen.shows("\x1b[?1049h");
    screen.shows(&addresses[0]);
    screen.shows(&addresses[1]);
    let raw = tcgetattr(&screen.terminal).expect("its settings");
    assert_ne!(settings(&raw), settings(&screen.before));
    // The first reading has come when a row has the program's name.
    screen.shows("larder");
    screen.press("s");
    screen.shows("requests");
    screen.press("\x1b[B\r");
    screen.shows(&addresses[1]);
    // Only cells that change are printed, so this is a word where the table has nothing.
    screen.shows("start");
    screen.press("?");
    screen.shows("help");
    screen.press("q");
    screen.ends_well();
}

#[test]
fn control_c_and_signals_restore_the_terminal() {
    let server = Server::start().expect("free ports");
    let address = server.memcached_addr().to_string();
    for signal in [None, Some(Signal::SIGTERM), Some(Signal::SIGHUP)] {
        let mut screen = Screen::start(&[&address]);
        screen.shows(&address);
        match signal {
            None => screen.press("\x03"),
            Some(signal) => screen.signal(signal),
        }
        screen.ends_well();
    }
}

#[test]
fn the_screen_follows_the_size_of_the_terminal() {
    let server = Server::start().expect("free ports");
    let mut screen = Screen::start(&[&server.memcached_addr().to_string()]);
    screen.shows("EVICT/S");
    set_size(&screen.keys, 200, 24);
    screen.signal(Signal::SIGWINCH);
    screen.shows("EXPIRE/S");
    screen.press("q");
    screen.ends_well();
}

#[test]
fn a_server_that_ends_is_shown_as_down() {
    let server = Server::start().expect("free ports");
    let address = server.memcached_addr().to_string();
    let mut screen = Screen::start(&[&address]);
    screen.shows("larder");
    screen.shows("larder");
    drop(server);
    screen.shows("DOWN:");
    screen.press("q");
    screen.ends_well();
}

#[test]
fn once_prints_a_table_to_a_terminal_without_drawing() {
    let server = Server::start().expect("free ports");
    let address = server.memcached_addr().to_string();
    let mut screen = Screen::start(&["--once", &address]);
    screen.shows("SERVER");
    screen.shows(&address);
    assert!(screen.ends().success());
    assert!(!screen.seen.contains('\x1b'), "{:?}", screen.seen);
}
