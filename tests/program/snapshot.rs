//! Snapshots: written at the end, at USR1, by SAVE and BGSAVE and at intervals; loaded at the start.

use std::fs;
use std::process::Command;

use super::run::{FREE, Larder, Place, until};

const WITH_FILE: [&str; 2] = ["--snapshot", "cache.snapshot"];

fn arguments<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&FREE[..], &WITH_FILE, more].concat()
}

#[track_caller]
fn serve(place: &Place, more: &[&str]) -> Larder {
    place.serve(&arguments(more), 2)
}

#[track_caller]
fn end(mut larder: Larder) {
    larder.signal("TERM");
    larder.logs("wrote the snapshot cache.snapshot");
    assert_eq!(larder.ended().code(), Some(0));
}

/// Waits until the background has written so many snapshots.
#[track_caller]
fn saved(larder: &Larder, at_least: u64) {
    let mut talk = larder.memcached();
    until("a snapshot is written", || {
        talk.stat("snapshot_saves") >= at_least
    });
}

#[test]
fn a_restart_begins_with_everything_that_was_there() {
    for model in ["turns", "threads"] {
        let place = Place::new();
        let larder = serve(&place, &["--model", model]);
        let (mut text, mut redis) = (larder.memcached(), larder.resp());
        text.ask("set user 7 0 3\r\nAda\r\n", "STORED\r\n");
        text.ask("set user name 9 0 4\r\nKing\r\n", "STORED\r\n");
        text.ask("set counter 0 0 2\r\n41\r\n", "STORED\r\n");
        text.ask("ms token 2 E12345\r\nxy\r\n", "HD\r\n");
        text.ask("ms stale 1\r\nx\r\n", "HD\r\n");
        text.ask("md stale I T60\r\n", "HD\r\n");
        redis.ask("HSET hash a 1 b 2\r\n", ":2\r\n");
        redis.ask("PEXPIREAT hash 4000000000123\r\n", ":1\r\n");
        redis.ask("SELECT 3\r\n", "+OK\r\n");
        redis.ask("SET third three PXAT 4000000000456\r\n", "+OK\r\n");
        redis.ask("SET short life PX 1\r\n", "+OK\r\n");
        end(larder);
        let larder = serve(&place, &["--model", model]);
        let (mut text, mut redis) = (larder.memcached(), larder.resp());
        text.ask("get user\r\n", "VALUE user 7 3\r\nAda\r\nEND\r\n");
        text.ask(
            "getn user name\r\n",
            "VALUE user name 9 4\r\nKing\r\nEND\r\n",
        );
        text.ask("incr counter 1\r\n", "42\r\n");
        text.ask("mg token c v\r\n", "VA 2 c12345\r\nxy\r\n");
        text.ask("mg stale v\r\n", "VA 1 X W\r\nx\r\n");
        redis.ask("HGET hash b\r\n", "$1\r\n2\r\n");
        redis.ask("PEXPIRETIME hash\r\n", ":4000000000123\r\n");
        redis.ask("SELECT 3\r\n", "+OK\r\n");
        redis.ask("PEXPIRETIME third\r\n", ":4000000000456\r\n");
        redis.ask("DBSIZE\r\n", ":1\r\n");
        // An update by a number from before the restart still works once, and no change gets an old number again.
        text.ask("set token 0 0 1\r\nz\r\n", "STORED\r\n");
        text.ask("cas token 0 0 1 12345\r\nq\r\n", "EXISTS\r\n");
        end(larder);
    }
}

#[test]
fn usr1_writes_a_snapshot_that_outlives_a_kill() {
    let place = Place::new();
    let mut larder = serve(&place, &[]);
    let mut talk = larder.memcached();
    talk.ask("set k 0 0 3\r\nold\r\n", "STORED\r\n");
    larder.signal("USR1");
    larder.logs("writing a snapshot, because USR1 arrived");
    saved(&larder, 1);
    talk.ask("set k 0 0 3\r\nnew\r\n", "STORED\r\n");
    // Dropped, it is killed, and writes nothing more.
    drop(larder);
    let larder = serve(&place, &[]);
    larder
        .memcached()
        .ask("get k\r\n", "VALUE k 0 3\r\nold\r\nEND\r\n");
    assert_eq!(larder.memcached().stat("snapshot_loaded_items"), 1);
}

#[test]
fn without_a_file_usr1_and_save_have_nothing_to_write_to() {
    let place = Place::new();
    let mut larder = place.serve(&FREE, 2);
    larder.signal("USR1");
    larder.logs("there is no file for it: give --snapshot FILE");
    let mut redis = larder.resp();
    let no_file = "-ERR there is no file for snapshots; start larder with --snapshot FILE\r\n";
    redis.ask("SAVE\r\n", no_file);
    redis.ask("BGSAVE\r\n", no_file);
    let printed = place.run(&[&FREE[..], &["--snapshot-every", "5m"]].concat());
    assert_eq!(printed.code, Some(1));
    assert_eq!(
        printed.err,
        "larder: --snapshot-every 5m needs a file; name one with --snapshot FILE\n"
    );
}

#[test]
fn redis_clients_write_snapshots_and_see_how_that_went() {
    let place = Place::new();
    let larder = serve(&place, &[]);
    let mut redis = larder.resp();
    redis.ask("SET k v\r\n", "+OK\r\n");
    redis.ask("SAVE\r\n", "+OK\r\n");
    assert!(fs::metadata(place.path("cache.snapshot")).is_ok_and(|file| file.len() > 20));
    redis.ask("BGSAVE\r\n", "+Background saving started\r\n");
    saved(&larder, 2);
    redis.ask("BGSAVE SCHEDULE\r\n", "+Background saving started\r\n");
    saved(&larder, 3);
    let info = info(&larder);
    let value = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {info}"))
            .to_owned()
    };
    assert_eq!(value("rdb_bgsave_in_progress:"), "0");
    assert_eq!(value("rdb_last_bgsave_status:"), "ok");
    assert_eq!(value("rdb_saves:"), "3");
    assert_eq!(value("snapshot_last_items:"), "1");
    let bytes = fs::metadata(place.path("cache.snapshot")).expect("it is there");
    assert_eq!(value("snapshot_last_bytes:"), bytes.len().to_string());
    redis.ask(
        "LASTSAVE\r\n",
        &format!(":{}\r\n", value("rdb_last_save_time:")),
    );
    redis.ask("MULTI\r\n", "+OK\r\n");
    redis.ask(
        "SAVE\r\n",
        "-ERR Command not allowed inside a transaction\r\n",
    );
}

/// The answer of `INFO persistence`.
#[track_caller]
fn info(larder: &Larder) -> String {
    let mut talk = larder.resp();
    talk.say("INFO persistence\r\nQUIT\r\n");
    talk.rest()
}

#[test]
fn snapshots_are_written_at_intervals_which_hup_changes() {
    let place = Place::new();
    place.write("larder.toml", "[serve]\nsnapshot-every = \"1h\"\n");
    let mut larder = serve(&place, &[]);
    place.write("larder.toml", "[serve]\nsnapshot-every = \"50ms\"\n");
    larder.signal("HUP");
    larder.logs("reloaded");
    saved(&larder, 3);
}

#[test]
fn a_file_that_cannot_be_loaded_is_set_aside_and_larder_starts_empty() {
    let place = Place::new();
    let larder = serve(&place, &[]);
    larder.memcached().ask("set k 0 0 1\r\nv\r\n", "STORED\r\n");
    end(larder);
    let whole = fs::read(place.path("cache.snapshot")).expect("it was written");
    let mut later = whole.clone();
    later[16] = 9;
    let mut damaged = whole.clone();
    damaged[40] ^= 1;
    let cases: [(&[u8], &str, &str); 4] = [
        (&whole[..whole.len() - 1], "it has no end", "unreadable"),
        (&later, "it has version 9 of the format", "unreadable.2"),
        (&damaged, "it is damaged: block 1", "unreadable.3"),
        (
            b"SQLite format 3",
            "it is not a snapshot of larder",
            "unreadable.4",
        ),
    ];
    for (bytes, problem, aside) in cases {
        fs::write(place.path("cache.snapshot"), bytes).expect("it can be written");
        let mut larder = serve(&place, &[]);
        let line = larder.logs("[ERROR]");
        assert!(line.contains(problem), "{line}");
        assert!(
            line.contains(&format!("set aside as cache.snapshot.{aside}")),
            "{line}"
        );
        larder.memcached().ask("get k\r\n", "END\r\n");
        let kept = fs::read(place.path(&format!("cache.snapshot.{aside}")));
        assert_eq!(kept.expect("it is there"), bytes);
        assert!(!place.path("cache.snapshot").exists());
    }
}

#[test]
fn a_file_is_used_by_one_larder_at_a_time() {
    let place = Place::new();
    let _first = serve(&place, &[]);
    let printed = place.run(&arguments(&[]));
    assert_eq!(printed.code, Some(1));
    assert!(
        printed.err.ends_with(
            "larder: snapshot cache.snapshot: another larder uses it; name another file\n"
        ),
        "{}",
        printed.err
    );
}

#[test]
fn a_snapshot_that_does_not_fit_on_the_disk_leaves_the_old_one() {
    let place = Place::new();
    // Files over 32 KiB fail, as on a full disk.
    let limited = "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\"";
    let start = || {
        let larder = place.command(&arguments(&[]));
        let mut command = Command::new("sh");
        command.args(["-c", limited]).arg(larder.get_program());
        command.args(larder.get_args()).current_dir(place.path(""));
        command.stdin(std::process::Stdio::null());
        command.stdout(std::process::Stdio::piped());
        command.stderr(std::process::Stdio::piped());
        Larder::spawn(command).ready(2)
    };
    let mut larder = start();
    let (mut text, mut redis) = (larder.memcached(), larder.resp());
    text.ask("set small 0 0 1\r\nv\r\n", "STORED\r\n");
    redis.ask("SAVE\r\n", "+OK\r\n");
    let old = fs::read(place.path("cache.snapshot")).expect("it was written");
    let large = format!("set large 0 0 600000\r\n{}\r\n", "x".repeat(600_000));
    text.ask(large, "STORED\r\n");
    redis.ask(
        "SAVE\r\n",
        "-ERR the snapshot was not written: File too large (os error 27)\r\n",
    );
    larder.logs("the snapshot cache.snapshot was not written, and the one before stays as it was");
    assert_eq!(text.stat("snapshot_failures"), 1);
    assert_eq!(text.stat("snapshot_saves"), 1);
    assert!(info(&larder).contains("rdb_last_bgsave_status:err\r\n"));
    redis.ask("BGSAVE\r\n", "+Background saving started\r\n");
    until("that failed, too", || text.stat("snapshot_failures") == 2);
    larder.signal("TERM");
    let printed = larder.printed();
    assert_eq!(printed.code, Some(1));
    let problem = "larder: the snapshot at the end was not written: File too large (os error 27)\n";
    assert!(printed.err.ends_with(problem), "{}", printed.err);
    assert_eq!(
        fs::read(place.path("cache.snapshot")).expect("it is there"),
        old
    );
    assert!(!place.path("cache.snapshot.writing").exists());
    let larder = start();
    larder
        .memcached()
        .ask("get small\r\n", "VALUE small 0 1\r\nv\r\nEND\r\n");
}

#[test]
fn a_directory_that_is_gone_is_reported_and_ends_with_a_code() {
    let place = Place::new();
    fs::create_dir(place.path("data")).expect("it can be made");
    let mut larder = place.serve(&[&FREE[..], &["--snapshot", "data/cache"]].concat(), 2);
    larder.memcached().ask("set k 0 0 1\r\nv\r\n", "STORED\r\n");
    fs::remove_dir_all(place.path("data")).expect("it can be removed");
    larder.signal("TERM");
    larder.logs("[ERROR] the snapshot data/cache was not written");
    assert_eq!(larder.ended().code(), Some(1));
    let printed = place.run(&[&FREE[..], &["--snapshot", "data/cache"]].concat());
    assert_eq!(printed.code, Some(1));
    assert!(
        printed
            .err
            .contains("snapshot data/cache: data/cache.lock can't be opened"),
        "{}",
        printed.err
    );
}

#[test]
fn dump_prints_a_snapshot_as_json_and_an_error_for_other_files() {
    let place = Place::new();
    let larder = serve(&place, &[]);
    let (mut text, mut redis) = (larder.memcached(), larder.resp());
    text.ask("set user 7 0 3\r\nAda\r\n", "STORED\r\n");
    text.ask("set user name 0 0 1\r\n\"\r\n", "STORED\r\n");
    redis.ask("SELECT 3\r\n", "+OK\r\n");
    redis.ask("HSET hash field \"\\xff\\xfe\"\r\n", ":1\r\n");
    redis.ask("PEXPIREAT hash 4000000000123\r\n", ":1\r\n");
    redis.ask("SET \"\\xff\" v\r\n", "+OK\r\n");
    end(larder);
    let printed = place.run(&["dump", "cache.snapshot"]);
    assert_eq!((printed.code, printed.err.as_str()), (Some(0), ""));
    let mut lines: Vec<&str> = printed.out.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            r#"{"db":0,"flags":0,"path":["user","name"],"value":"\""}"#,
            r#"{"db":0,"flags":7,"path":["user"],"value":"Ada"}"#,
            r#"{"db":3,"expires_ms":4000000000123,"flags":0,"path":["hash"]}"#,
            r#"{"db":3,"flags":0,"path":["hash","field"],"value_base64":"//4="}"#,
            r#"{"db":3,"flags":0,"path_base64":["/w=="],"value":"v"}"#,
        ]
    );
    place.write("other", "SQLite format 3");
    for (file, problem) in [
        ("other", "larder: other: it is not a snapshot of larder\n"),
        (
            "nothing",
            "larder: nothing: No such file or directory (os error 2)\n",
        ),
    ] {
        let printed = place.run(&["dump", file]);
        assert_eq!((printed.code, printed.err.as_str()), (Some(1), problem));
    }
}
