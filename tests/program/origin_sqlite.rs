//! A SQLite database as the origin: the program reads it while this test, another process, writes to it.

use std::net::SocketAddr;

use rusqlite::Connection;

use super::run::{FREE, Larder, Place};
use crate::origin_support::{Client, resp};

/// A row for each key; keys of a larger number are views, some of which fail.
const TABLES: &str = "CREATE TABLE pages (path TEXT PRIMARY KEY, body, flags INTEGER);
    INSERT INTO pages VALUES ('a', 'one', 5), ('null', NULL, 0), ('huge', zeroblob(2000000000 / 100), 0);
    CREATE VIEW endless AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) AS i FROM n;";

const QUERY: &str = "SELECT CASE ?1 WHEN 'hanging' THEN (SELECT i FROM endless) WHEN 'failing' THEN abs(-9223372036854775808)
    ELSE (SELECT body FROM pages WHERE path = ?1) END, (SELECT flags FROM pages WHERE path = ?1)";

/// A larder in front of the database `pages.db`, and its directory.
fn serve(timeout: &str) -> (Place, Connection, Larder) {
    let place = Place::new();
    let database = Connection::open(place.path("pages.db")).expect("it can be made");
    database.execute_batch(TABLES).expect("SQL");
    let query = QUERY.replace('\n', " ");
    place.write(
        "larder.toml",
        &format!("[origin]\nsqlite = \"pages.db\"\nquery = \"{query}\"\ntimeout = \"{timeout}\"\n"),
    );
    let larder = place.serve(&FREE, 2);
    (place, database, larder)
}

fn client(larder: &Larder, protocol: &str) -> Client {
    let address: SocketAddr = larder.address(protocol).parse().expect("an address");
    Client::connect(address)
}

#[test]
fn rows_are_values_with_flags_and_a_program_may_write_to_the_database_meanwhile() {
    let (_place, database, larder) = serve("60s");
    let (mut memcached, mut redis) = (client(&larder, "memcached"), client(&larder, "resp"));
    memcached.ask("get a\r\n", "VALUE a 5 3\r\none\r\nEND\r\n");
    redis.ask(resp(&["GET", "a"]), "$3\r\none\r\n");
    redis.ask(resp(&["MGET", "null", "other"]), "*2\r\n$-1\r\n$-1\r\n");
    assert_eq!(memcached.stat("origin_fetches"), 3);
    assert_eq!(memcached.stat("origin_missing"), 2);
    let mode: String = database
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .expect("nothing reads it");
    assert_eq!(mode, "wal");
    let write = "BEGIN IMMEDIATE; INSERT INTO pages VALUES ('b', 'two', 0); UPDATE pages SET body = 'new' WHERE path = 'a'";
    database.execute_batch(write).expect("SQL");
    // The writer has its lock still.
    memcached.ask("delete a\r\n", "DELETED\r\n");
    memcached.ask("get a\r\n", "VALUE a 5 3\r\none\r\nEND\r\n");
    database.execute_batch("COMMIT").expect("nothing blocks it");
    memcached.ask("delete a\r\n", "DELETED\r\n");
    memcached.ask(
        "get a b\r\n",
        "VALUE a 5 3\r\nnew\r\nVALUE b 0 3\r\ntwo\r\nEND\r\n",
    );
}

#[test]
fn a_query_that_fails_is_a_miss_a_statistic_and_a_line_in_the_log() {
    for (key, timeout, statistic, line) in [
        (
            "failing",
            "60s",
            "origin_errors",
            "answered with an error: integer overflow",
        ),
        ("hanging", "200ms", "origin_timeouts", "timed out"),
        (
            "huge",
            "60s",
            "origin_too_large",
            "has a value that is over the limit of an item",
        ),
    ] {
        let (_place, _database, mut larder) = serve(timeout);
        let mut memcached = client(&larder, "memcached");
        memcached.ask(format!("get {key}\r\n"), "END\r\n");
        assert_eq!(memcached.stat(statistic), 1, "{key}");
        larder.logs(&format!("origin sqlite pages.db: the key \"{key}\" {line}"));
        memcached.ask("set there 0 0 1\r\n1\r\n", "STORED\r\n");
        memcached.ask("get there\r\n", "VALUE there 0 1\r\n1\r\nEND\r\n");
    }
}

#[test]
fn a_database_that_is_locked_or_missing_is_a_miss_a_statistic_and_a_line_in_the_log() {
    let (place, database, mut larder) = serve("200ms");
    let mut memcached = client(&larder, "memcached");
    database.execute_batch("BEGIN EXCLUSIVE").expect("SQL");
    memcached.ask("get a\r\n", "END\r\n");
    assert_eq!(memcached.stat("origin_unavailable"), 1);
    larder.logs("origin sqlite pages.db: the key \"a\" is unavailable: database is locked");
    std::fs::remove_file(place.path("pages.db")).expect("it is there");
    drop(larder);
    let mut larder = place.serve(&FREE, 2);
    let mut memcached = client(&larder, "memcached");
    memcached.ask("get a\r\n", "END\r\n");
    assert_eq!(memcached.stat("origin_unavailable"), 1);
    larder.logs("origin sqlite pages.db: the key \"a\" is unavailable: No such file");
}

#[test]
fn a_database_needs_a_query_and_an_option_for_another_replaces_both_lines_of_the_file() {
    let place = Place::new();
    for (options, problem) in [
        (["--origin-sqlite", "a.db"], "--origin-sqlite needs a query"),
        (
            ["--origin-query", "SELECT ?"],
            "--origin-query is a setting of --origin-sqlite",
        ),
    ] {
        let printed = place.run(&[&["serve"][..], &options].concat());
        assert_ne!(printed.code, Some(0));
        assert!(printed.err.contains(problem), "{}", printed.err);
    }
    place.write(
        "larder.toml",
        "[origin]\nsqlite = \"a.db\"\nquery = \"SELECT ?\"\n",
    );
    let lines = |options: &[&str]| -> Vec<String> {
        let printed = place.run(&[&["config"][..], options].concat());
        let lines = printed.out.lines();
        let lines = lines.filter(|line| {
            ["sqlite", "query", "command"]
                .iter()
                .any(|key| line.starts_with(key))
        });
        lines.map(str::to_owned).collect()
    };
    assert_eq!(lines(&["--origin-command", "x"]), ["command = \"x\""]);
    assert_eq!(lines(&["--origin-sqlite", "b.db"]), ["sqlite = \"b.db\""]);
    assert_eq!(
        lines(&["--origin-query", "SELECT 1, ?"]),
        ["sqlite = \"a.db\"", "query = \"SELECT 1, ?\""]
    );
}
