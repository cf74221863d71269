//! A panic while the screen is open. The test starts itself in a pseudo-terminal, and panics there.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};

use super::screen::Screen;

/// The environment variable of the test that panics.
const PANICS: &str = "LARDER_TEST_PANICS_ON_THE_SCREEN";

/// Opens and leaves the screen that programs draw on.
const OPENED: &str = "\x1b[?1049h";
const LEFT: &str = "\x1b[?1049l";

#[test]
fn a_panic_restores_the_terminal_before_its_message() {
    if std::env::var_os(PANICS).is_some() {
        let _screen = Screen::open().expect("a terminal");
        panic!("while the screen is open");
    }
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
    let ready = grantpt(&ours).and_then(|()| unlockpt(&ours));
    ready.expect("its other side");
    let path = ptsname(&ours, Vec::new()).expect("its name");
    let terminal = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(OpenptFlags::NOCTTY.bits().cast_signed())
        .open(path.to_str().expect("text"))
        .expect("its other side");
    let size = Winsize {
        ws_row: 24,
        ws_col: 80,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&ours, size).expect("its size");
    let settings = || format!("{:?}", tcgetattr(&terminal).expect("its settings"));
    let before = settings();
    let side = || terminal.try_clone().expect("a copy");
    let test = "tools::top::panic_tests::a_panic_restores_the_terminal_before_its_message";
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", test, "--nocapture"])
        .env(PANICS, "yes")
        .stdin(side())
        .stdout(side())
        .stderr(side())
        .spawn()
        .expect("it starts");
    // It stays open, because the other side loses its settings when it closes.
    let mut ours = File::from(ours);
    let printed = read_until_failed(&mut ours);
    assert!(!child.wait().expect("it ends").success());
    let place = |text| {
        printed
            .find(text)
            .unwrap_or_else(|| panic!("no {text:?} in {printed:?}"))
    };
    let message = place("while the screen is open");
    assert!(
        place(OPENED) < place(LEFT) && place(LEFT) < message,
        "{printed:?}"
    );
    assert_eq!(settings(), before);
}

/// The output until the line that the test has failed.
fn read_until_failed(side: &mut File) -> String {
    let (mut printed, mut buffer) = (String::new(), [0; 4096]);
    while !printed.contains("test result: FAILED") {
        let count = side.read(&mut buffer).expect("it prints its result");
        printed += &String::from_utf8_lossy(&buffer[..count]);
    }
    printed
}
