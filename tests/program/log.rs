//! The log: its level and its files.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::run::{FREE, Larder, Place};

/// The log of a run with these flags on standard error, from start to end.
#[track_caller]
fn logged(flags: &[&str]) -> String {
    let place = Place::new();
    let larder = place.serve(&[&FREE[..], flags].concat(), 2);
    end(larder)
}

#[track_caller]
fn end(larder: Larder) -> String {
    // An answer proves that it is past its start.
    larder.resp().ask("PING\r\n", "+PONG\r\n");
    larder.signal("TERM");
    let printed = larder.printed();
    assert_eq!(printed.code, Some(0), "{printed:?}");
    printed.err
}

#[test]
fn it_logs_its_actions_unless_q_is_given() {
    let usual = logged(&[]);
    assert!(
        usual.contains("[INFO] serving with 64MiB") && usual.ends_with("[INFO] ended\n"),
        "{usual}"
    );
    assert!(!usual.contains("[DEBUG]"), "{usual}");
    assert_eq!(logged(&["-q"]), "");
    assert_eq!(logged(&["-qq"]), "");
    for more in ["-v", "-vv"] {
        assert!(logged(&[more]).contains("[INFO] serving with"), "{more}");
    }
}

/// Runs larder with these arguments and a journal, as systemd does. Returns its exit code and what the journal got.
#[track_caller]
fn in_the_journal(arguments: &[&str]) -> (Option<i32>, String) {
    let (mut journal, stderr) = std::io::pipe().expect("a pipe");
    let stderr = File::from(OwnedFd::from(stderr));
    let pipe = stderr.metadata().expect("it is open");
    let place = Place::new();
    let mut command = place.command(arguments);
    command
        .env("JOURNAL_STREAM", format!("{}:{}", pipe.dev(), pipe.ino()))
        .stdout(Stdio::piped())
        .stderr(stderr);
    let mut child = command.spawn().expect("it starts");
    // The command has the pipe's other end, too.
    drop(command);
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    if lines.next().is_some() {
        let pid = child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.expect("kill is there").success());
    }
    let mut written = String::new();
    journal.read_to_string(&mut written).expect("UTF-8");
    let status = child.wait().expect("it ends");
    (status.code(), written)
}

#[test]
fn the_journal_gets_priorities_and_no_times() {
    const ONE: [&str; 4] = ["--memcached", "127.0.0.1:0", "--resp", "off"];
    let (code, lines) = in_the_journal(&ONE);
    assert_eq!(code, Some(0), "{lines}");
    assert!(
        lines.starts_with("<6>serving with 64MiB") && lines.ends_with("\n<6>ended\n"),
        "{lines}"
    );
    let (_, lines) = in_the_journal(&[&ONE[..], &["--log-format", "json"]].concat());
    assert!(lines.starts_with("<6>{\"level\":\"INFO\""), "{lines}");
    let (code, lines) = in_the_journal(&["--memcached", "nowhere.invalid:1", "--resp", "off"]);
    assert_eq!(code, Some(1), "{lines}");
    assert!(lines.starts_with("<3>can't listen on"), "{lines}");
}

#[test]
fn with_a_directory_it_goes_to_a_file_of_the_day_as_well() {
    let place = Place::new();
    let larder = place.serve(&[&FREE[..], &["--log-dir", "new/logs"]].concat(), 2);
    let shown = end(larder);
    let files = std::fs::read_dir(place.path("new/logs")).expect("it was made");
    let mut written = String::new();
    for file in files {
        let name = file.expect("it can be read").file_name();
        let name = name.to_str().expect("ASCII");
        // larder-2026-01-31.log; two of them when midnight has just passed.
        let day = name
            .strip_prefix("larder-")
            .and_then(|n| n.strip_suffix(".log"));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let parts: Vec<&str> = day.expect(name).split('-').collect();
        assert!(parts.iter().all(|part| digits(part)), "{name}");
        assert_eq!(parts.iter().map(|p| p.len()).collect::<Vec<_>>(), [4, 2, 2]);
        written += &place.read(&format!("new/logs/{name}"));
    }
    // Each line has its time in front, taken for each of the two.
    let messages = |log: &str| -> Vec<String> {
        let told = log.lines().filter_map(|line| line.split_once(' '));
        told.map(|(_, message)| message.to_owned()).collect()
    };
    assert_eq!(messages(&written), messages(&shown));
    assert!(written.contains("serving with"), "{written}");
}

#[test]
fn a_directory_that_can_not_be_written_is_an_error_at_the_start() {
    let place = Place::new();
    place.write("file", "");
    let printed = place.run(&[&FREE[..], &["--log-dir", "file/logs"]].concat());
    assert_eq!(printed.code, Some(1));
    assert_eq!(
        printed.err,
        "larder: --log-dir file/logs: can't write a log there: Not a directory (os error 20)\n"
    );
}

#[test]
fn as_json_each_line_is_an_object() {
    let log = logged(&["--log-format", "json", "-v"]);
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    for line in &lines {
        let fields: Vec<_> = line.as_object().expect("an object").keys().collect();
        assert_eq!(fields, ["level", "message", "module", "time"]);
    }
    let last = lines.last().expect("there are some");
    assert_eq!(
        (&last["level"], &last["message"]),
        (&"INFO".into(), &"ended".into())
    );
    let wrong = Place::new().run(&["--log-format", "xml"]);
    assert!(wrong.err.contains("`xml` is not text or json"), "{wrong:?}");
}

/// A client can cause a line for each connection that it opens, as fast as it likes.
#[test]
fn clients_can_not_fill_the_log() {
    const CONNECTIONS: usize = 1000;
    let place = Place::new();
    let mut larder = place.serve(&[&FREE[..], &["--max-connections", "1"]].concat(), 2);
    let start = Instant::now();
    let mut first = larder.memcached();
    first.ask("mn\r\n", "MN\r\n");
    for _ in 0..CONNECTIONS {
        larder
            .memcached()
            .hear("ERROR Too many open connections\r\n");
    }
    let spans = start.elapsed().as_secs() / 10 + 1;
    larder.signal("TERM");
    larder.ended();
    let log = larder.printed().err;
    let refused = log.lines().filter(|line| line.contains("refused"));
    let lines = refused.count() as u64;
    assert!(
        (1..=10 * spans).contains(&lines),
        "{lines} in {spans} spans"
    );
}

#[test]
fn no_input_causes_a_panic_or_an_end() {
    let place = Place::new();
    let larder = place.serve(&[&FREE[..], &["-vv"]].concat(), 2);
    let digits = "9".repeat(20);
    let long = "x".repeat(100_000);
    for garbage in [
        "\0\r\n\0\n".to_owned(),
        format!("set k 0 0 {digits}\r\n"),
        "set k 0 0 -1\r\n".into(),
        format!("get {long}\r\n"),
        long.clone(),
        format!("*{digits}\r\n"),
        format!("*1\r\n${digits}\r\n"),
        "*-1\r\n*0\r\n*1\r\n$-1\r\n".into(),
        "*1000000\r\n".repeat(1000),
        "*1\r\n".repeat(10_000),
        "SET a \"unbalanced\r\n".into(),
        "\u{80}\u{ff}\r\n".repeat(1000),
        "\r\n".repeat(10_000),
        "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870913\r\n".into(),
    ] {
        for mut talk in [larder.memcached(), larder.resp()] {
            talk.rough(garbage.as_bytes());
        }
        larder.memcached().ask("get none\r\n", "END\r\n");
        larder.resp().ask("PING\r\n", "+PONG\r\n");
    }
    let log = end(larder);
    assert!(!log.contains("panic"), "{log}");
}
