//! HUP: the log is opened anew, and larder.toml read again.

use std::fs;
use std::process::{Command, Stdio};

use super::run::{FREE, Larder, Place, Talk, until};

#[test]
fn a_log_that_was_moved_is_opened_again() {
    let place = Place::new();
    let mut larder = place.serve(&[&FREE[..], &["--log-dir", "logs"]].concat(), 2);
    larder.logs("serving with");
    for file in fs::read_dir(place.path("logs")).expect("it was made") {
        let file = file.expect("it can be read");
        fs::rename(file.path(), place.path("moved")).expect("it can be moved");
    }
    larder.signal("HUP");
    larder.logs("reloaded");
    let mut written = String::new();
    until("the new file has the line", || {
        let mut files = fs::read_dir(place.path("logs")).expect("it is there");
        let file = files.next().and_then(Result::ok);
        written = file.map_or(String::new(), |file| {
            fs::read_to_string(file.path()).expect("it can be read")
        });
        written.contains("reloaded")
    });
    assert!(!written.contains("serving with"), "{written}");
    let moved = place.read("moved");
    assert!(moved.contains("serving with") && !moved.contains("reloaded"));
}

#[test]
fn some_settings_change_and_the_others_are_named() {
    let place = Place::new();
    place.write("larder.toml", "[serve]\nmemory = \"32MiB\"\n");
    let mut larder = place.serve(&FREE, 2);
    let mut first = larder.memcached();
    assert_eq!(first.stat("limit_maxbytes"), 32 << 20);
    place.write(
        "larder.toml",
        "[serve]\nmemory = \"16MiB\"\nmax-item-size = \"2KiB\"\nmax-connections = 2\n\
         when-full = \"refuse\"\nworkers = 7\nnested = \"off\"\n[log]\nlevel = \"warn\"\ndir = \"logs\"\nformat = \"json\"\n",
    );
    larder.signal("HUP");
    larder.logs(
        "[WARN] these settings changed too and need a restart: nested, workers, log-dir, log-format",
    );
    assert_eq!(first.stat("limit_maxbytes"), 16 << 20);
    let large = format!("set k 0 0 3000\r\n{}\r\n", "x".repeat(3000));
    first.ask(large, "SERVER_ERROR object too large for cache\r\n");
    let mut second = larder.resp();
    let policy = "*2\r\n$16\r\nmaxmemory-policy\r\n$10\r\nnoeviction\r\n";
    second.ask("CONFIG GET maxmemory-policy\r\n", policy);
    let mut third = larder.memcached();
    third.hear("ERROR Too many open connections\r\n");
    third.closed();
    // Nested keys go on until the restart.
    first.ask("set a b 0 0 1\r\nx\r\n", "NOT_STORED\r\n");
    // The level is warn now: the end, which is logged at info, is silent.
    larder.signal("TERM");
    let printed = larder.printed();
    assert_eq!(printed.code, Some(0));
    assert!(!printed.err.contains("[INFO]"), "{}", printed.err);
}

#[test]
fn a_flag_still_overrides_the_file() {
    let place = Place::new();
    let mut larder = place.serve(&[&FREE[..], &["--memory", "32MiB"]].concat(), 2);
    place.write("larder.toml", "[serve]\nmemory = \"16MiB\"\n");
    larder.signal("HUP");
    larder.logs("reloaded: memory = 32MiB");
    assert_eq!(larder.memcached().stat("limit_maxbytes"), 32 << 20);
}

#[test]
fn a_file_with_a_mistake_changes_nothing() {
    let place = Place::new();
    place.write("larder.toml", "[serve]\nmemory = \"32MiB\"\n");
    let mut larder = place.serve(&FREE, 2);
    place.write("larder.toml", "[serve]\nmemory = \"16MiB\"\nmemroy = 1\n");
    larder.signal("HUP");
    let line = larder.logs("[ERROR] not reloaded, the old settings stay in force: larder.toml: ");
    assert!(line.contains("line 3"), "{line}");
    assert_eq!(larder.memcached().stat("limit_maxbytes"), 32 << 20);
    // Put right, it is taken.
    place.write("larder.toml", "[serve]\nmemory = \"16MiB\"\n");
    larder.signal("HUP");
    larder.logs("reloaded: memory = 16MiB");
    assert_eq!(larder.memcached().stat("limit_maxbytes"), 16 << 20);
}

#[test]
fn echo_takes_it_without_ending() {
    let place = Place::new();
    let larder = place.serve(&["echo", "--listen", "127.0.0.1:0"], 1);
    let mut talk = Talk::tcp(larder.address("echo"));
    talk.ask("one\n", "one\n");
    larder.signal("HUP");
    talk.ask("two\n", "two\n");
}

/// larder with at most 100 connections, under limits of open files that a shell has set.
fn with_limits(place: &Place, limits: &str) -> Larder {
    place.write("larder.toml", "[serve]\nmax-connections = 100\n");
    let larder = place.command(&FREE);
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{limits}; exec \"$0\" \"$@\"")]);
    command.arg(larder.get_program()).args(larder.get_args());
    command.current_dir(place.path("")).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    Larder::spawn(command).ready(2)
}

/// The open files that a larder may have.
fn allowed(larder: &Larder) -> u64 {
    let limits = fs::read_to_string(format!("/proc/{}/limits", larder.pid()));
    let limits = limits.expect("Linux has it");
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().nth(3));
    soft.and_then(|soft| soft.parse().ok()).expect("a number")
}

#[test]
fn the_limit_of_open_files_is_raised_when_more_connections_are_allowed() {
    let place = Place::new();
    let mut larder = with_limits(&place, "ulimit -Sn 300");
    assert_eq!(allowed(&larder), 300);
    place.write("larder.toml", "[serve]\nmax-connections = 400\n");
    larder.signal("HUP");
    larder.logs("max-connections = 400");
    assert!(allowed(&larder) > 400, "{}", allowed(&larder));
    larder
        .resp()
        .ask("CONFIG SET maxclients 600\r\n", "+OK\r\n");
    assert!(allowed(&larder) > 600, "{}", allowed(&larder));
}

/// The number is more than the system allows any process, because root may exceed the hard limit.
#[test]
fn more_connections_than_the_system_allows_leave_the_number_as_it_was() {
    const TOO_MANY: u32 = u32::MAX;
    let place = Place::new();
    let mut larder = with_limits(&place, "ulimit -Sn 300; ulimit -Hn 400");
    let kept = "*2\r\n$10\r\nmaxclients\r\n$3\r\n100\r\n";
    place.write(
        "larder.toml",
        &format!("[serve]\nmemory = \"32MiB\"\nmax-connections = {TOO_MANY}\n"),
    );
    larder.signal("HUP");
    let line = format!("[ERROR] max-connections stays 100: {TOO_MANY} need more open files");
    larder.logs(&line);
    larder.logs("max-connections = 100");
    let mut talk = larder.resp();
    talk.ask("CONFIG GET maxclients\r\n", kept);
    // The other settings of the file are in force.
    let memory = "*2\r\n$9\r\nmaxmemory\r\n$8\r\n33554432\r\n";
    talk.ask("CONFIG GET maxmemory\r\n", memory);
    // Of 400 files, 64 are kept free for the server beside its own.
    talk.say(format!(
        "CONFIG SET maxmemory 20mb maxclients {TOO_MANY}\r\n"
    ));
    let error = talk.until_end("\r\n");
    let error = error.trim_end();
    let why = "-ERR CONFIG SET failed (possibly related to argument 'maxclients') - The operating system is not able to handle \
               the specified number of clients, try with ";
    let possible = error
        .strip_prefix(why)
        .and_then(|number| number.parse::<u64>().ok());
    assert!(
        possible.is_some_and(|number| (101..400 - 64).contains(&number)),
        "{error}"
    );
    talk.ask("CONFIG GET maxclients\r\n", kept);
    talk.ask("CONFIG GET maxmemory\r\n", memory);
    assert_eq!(allowed(&larder), 300);
    let possible = possible.unwrap_or_default();
    talk.ask(format!("CONFIG SET maxclients {possible}\r\n"), "+OK\r\n");
    assert_eq!(allowed(&larder), 400);
}
