//! The password: from a file or the environment, never where others can read it.

use super::run::{FREE, Larder, Place};

const SECRET: &str = "correct horse battery staple";

#[track_caller]
fn asks_for_it(larder: &Larder) {
    let mut talk = larder.resp();
    talk.ask("GET k\r\n", "-NOAUTH Authentication required.\r\n");
    talk.ask(
        "AUTH wrong\r\n",
        "-WRONGPASS invalid username-password pair or user is disabled.\r\n",
    );
    talk.ask(format!("AUTH \"{SECRET}\"\r\n"), "+OK\r\n");
    talk.ask("GET k\r\n", "$-1\r\n");
}

#[test]
fn it_is_the_first_line_of_a_file() {
    let place = Place::new();
    place.write("secret", &format!("{SECRET}\nand a remark\n"));
    let larder = place.serve(&[&FREE[..], &["--password-file", "secret"]].concat(), 2);
    asks_for_it(&larder);
    let arguments = std::fs::read(format!("/proc/{}/cmdline", larder.pid())).expect("Linux");
    assert!(!String::from_utf8_lossy(&arguments).contains("horse"));
    let printed = place.run(&["config", "--password-file", "secret"]);
    assert!(printed.out.contains("password-file = \"secret\"\n"));
    assert!(!printed.out.contains("horse"), "{}", printed.out);
}

#[test]
fn or_a_variable_of_the_environment() {
    let place = Place::new();
    let mut command = place.command(&FREE);
    command.env("LARDER_PASSWORD", SECRET);
    let mut larder = Larder::spawn(command).ready(2);
    asks_for_it(&larder);
    larder.signal("TERM");
    larder.logs("ended");
    assert!(!larder.logged.concat().contains("horse"));

    let mut command = place.command(&["config"]);
    command.env("LARDER_PASSWORD", SECRET);
    let printed = Larder::spawn(command).printed();
    assert_eq!(printed.code, Some(0));
    assert!(!printed.out.contains("horse"), "{}", printed.out);
}

#[test]
fn a_file_without_a_password_is_an_error() {
    let place = Place::new();
    place.write("empty", "\nsecret on the second line\n");
    for (file, what) in [
        ("empty", "its first line is empty"),
        (
            "missing",
            "can't be read: No such file or directory (os error 2)",
        ),
    ] {
        let printed = place.run(&[&FREE[..], &["--password-file", file]].concat());
        assert_eq!(printed.code, Some(1));
        let expected = format!("larder: --password-file {file}: {what}\n");
        assert_eq!(printed.err, expected);
    }
}
