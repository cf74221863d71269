//! The origin on database files that the tests write: values, keys, and everything that can fail.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tempfile::TempDir;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

/// Counts until the deadline.
const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) \
                       SELECT max(i) FROM n WHERE ? <> ''";

/// A database in a directory of its own, and the connection that wrote it.
struct Written {
    directory: TempDir,
    writer: Connection,
}

impl Written {
    fn new(sql: &str) -> Written {
        let directory = tempfile::tempdir().unwrap();
        let writer = Connection::open(directory.path().join("test.db")).unwrap();
        writer.execute_batch(sql).unwrap();
        Written { directory, writer }
    }

    fn items() -> Written {
        Written::new(
            "CREATE TABLE items (k TEXT PRIMARY KEY, v, f INTEGER);
             INSERT INTO items VALUES ('text', 'Ada', 7), ('blob', x'00ff0a', NULL), ('integer', -42, 0),
                 ('real', 0.1, 0), ('whole', 3.0, 0), ('null', NULL, 0), ('empty', '', 4294967295);",
        )
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("test.db")
    }

    fn origin(&self, query: &str) -> SqliteOrigin {
        SqliteOrigin::new(self.file(), query)
    }
}

fn ask(origin: &SqliteOrigin, key: &[u8]) -> Result<Option<Fetched>, FetchError> {
    ask_within(MINUTE, origin, key)
}

fn ask_within(
    time: Duration,
    origin: &SqliteOrigin,
    key: &[u8],
) -> Result<Option<Fetched>, FetchError> {
    origin.fetch(&FetchRequest {
        key,
        names: &[key],
        deadline: Instant::now() + time,
        max_value: 1000,
    })
}

fn value(bytes: &[u8]) -> Result<Option<Fetched>, FetchError> {
    Ok(Some(bytes.to_vec().into()))
}

#[test]
fn each_type_of_value_has_its_text_and_null_or_no_row_is_a_miss() {
    let written = Written::items();
    let origin = written.origin("SELECT v FROM items WHERE k = ?");
    for (key, bytes) in [
        ("text", &b"Ada"[..]),
        ("blob", b"\x00\xff\n"),
        ("integer", b"-42"),
        ("real", b"0.1"),
        ("whole", b"3.0"),
        ("empty", b""),
    ] {
        assert_eq!(ask(&origin, key.as_bytes()), value(bytes), "{key}");
    }
    assert_eq!(ask(&origin, b"null"), Ok(None));
    assert_eq!(ask(&origin, b"other"), Ok(None));
    assert_eq!(origin.idle().len(), 1, "one connection for all of them");
}

#[test]
fn the_second_column_is_the_flags() {
    let written = Written::items();
    let origin = written.origin("SELECT v, f FROM items WHERE k = ?1 OR k || 's' = ?1");
    for (key, flags) in [("texts", 7), ("blob", 0), ("empty", u32::MAX)] {
        let fetched = ask(&origin, key.as_bytes()).unwrap().unwrap();
        assert_eq!(fetched.flags, flags, "{key}");
    }
    let origin = written.origin("SELECT k, -1 FROM items WHERE k = ?");
    assert!(matches!(ask(&origin, b"text"), Err(FetchError::Error(_))));
}

#[test]
fn any_bytes_are_a_key() {
    let written = Written::new(
        "CREATE TABLE t (k, v);
         INSERT INTO t VALUES ('a''b; DROP TABLE t', '1'), ('nul' || char(0) || 'in', '2'), (x'ff00', '3');
         CREATE TABLE numbers (id INTEGER PRIMARY KEY, v); INSERT INTO numbers VALUES (42, 'by number');",
    );
    let origin = written.origin("SELECT v FROM t WHERE k = ?");
    assert_eq!(ask(&origin, b"a'b; DROP TABLE t"), value(b"1"));
    assert_eq!(ask(&origin, b"nul\0in"), value(b"2"));
    assert_eq!(ask(&origin, b"\xff\0"), value(b"3"));
    let origin = written.origin("SELECT v FROM numbers WHERE id = substr(?, 6)");
    assert_eq!(ask(&origin, b"user:42"), value(b"by number"));
    assert_eq!(ask(&origin, b"user:x"), Ok(None));
}

#[test]
fn a_query_that_fails_says_why() {
    let written = Written::items();
    for (query, why) in [
        ("SELECT v FROM nowhere WHERE k = ?", "no such table"),
        ("SELEC v", "syntax error"),
        (
            "SELECT v FROM items",
            "the query has 0 parameters and 1 columns",
        ),
        (
            "SELECT v FROM items WHERE k = ? AND f = ?",
            "the query has 2 parameters",
        ),
        (
            "SELECT v, f, k FROM items WHERE k = ?",
            "1 parameters and 3 columns",
        ),
        (
            "DELETE FROM items WHERE k = ? RETURNING v",
            "readonly database",
        ),
        (
            "SELECT v FROM items WHERE k = ?; SELECT 1",
            "Multiple statements",
        ),
        ("SELECT abs(-9223372036854775808) WHERE ? <> ''", "overflow"),
    ] {
        let error = ask(&written.origin(query), b"text").unwrap_err();
        assert!(matches!(&error, FetchError::Error(_)), "{query}: {error}");
        assert!(error.to_string().contains(why), "{query}: {error}");
    }
}

#[test]
fn a_value_over_the_limit_is_refused_without_being_made() {
    let written = Written::new(
        "CREATE TABLE t (k, v); INSERT INTO t VALUES ('a', zeroblob(1000)), ('b', zeroblob(1001))",
    );
    let origin = written.origin("SELECT v FROM t WHERE k = ?");
    assert_eq!(ask(&origin, b"a"), value(&[0; 1000]));
    assert_eq!(ask(&origin, b"b"), Err(FetchError::TooLarge(1000)));
    for made in [
        "zeroblob(900000000)",
        "replace(hex(zeroblob(400000)), '00', hex(zeroblob(400000)))",
    ] {
        let origin = written.origin(&format!("SELECT {made} WHERE ? <> ''"));
        assert_eq!(
            ask(&origin, b"k"),
            Err(FetchError::TooLarge(1000)),
            "{made}"
        );
    }
}

#[test]
fn a_query_without_end_is_interrupted_at_its_deadline() {
    let written = Written::items();
    let origin = written.origin(ENDLESS);
    let short = Duration::from_millis(20);
    assert_eq!(ask_within(short, &origin, b"k"), Err(FetchError::TimedOut));
}

#[test]
fn a_file_that_is_missing_or_no_database_is_unavailable_until_it_is_one() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("later.db");
    let origin = SqliteOrigin::new(&file, "SELECT v FROM t WHERE k = ?");
    let unavailable = |why: &str| {
        let error = ask(&origin, b"k").unwrap_err();
        assert!(matches!(&error, FetchError::Unavailable(_)), "{error}");
        assert!(error.to_string().contains(why), "{error}");
    };
    unavailable("No such file");
    fs::create_dir(&file).unwrap();
    unavailable("it is not a file");
    fs::remove_dir(&file).unwrap();
    fs::write(&file, "no database ".repeat(100)).unwrap();
    unavailable("file is not a database");
    fs::remove_file(&file).unwrap();
    let writer = Connection::open(&file).unwrap();
    writer
        .execute_batch("CREATE TABLE t (k, v); INSERT INTO t VALUES ('k', 'there')")
        .unwrap();
    assert_eq!(ask(&origin, b"k"), value(b"there"));
    assert_eq!(origin.describe(), format!("sqlite {}", file.display()));
}

#[test]
fn a_database_in_the_place_of_another_is_opened() {
    let (old, new) = (Written::items(), Written::items());
    let origin = old.origin("SELECT v FROM items WHERE k = ?");
    assert_eq!(ask(&origin, b"text"), value(b"Ada"));
    new.writer
        .execute_batch("UPDATE items SET v = 'Grace' WHERE k = 'text'")
        .unwrap();
    fs::rename(new.file(), old.file()).unwrap();
    assert_eq!(ask(&origin, b"text"), value(b"Grace"));
    assert_eq!(origin.idle().len(), 1);
}

#[test]
fn a_changed_table_is_read_by_the_same_query() {
    let written = Written::items();
    let origin = written.origin("SELECT v FROM items WHERE k = ?");
    assert_eq!(ask(&origin, b"text"), value(b"Ada"));
    written
        .writer
        .execute_batch("ALTER TABLE items ADD COLUMN more; UPDATE items SET v = 'changed'")
        .unwrap();
    assert_eq!(ask(&origin, b"text"), value(b"changed"));
}

#[test]
fn a_locked_database_is_waited_for_until_the_deadline() {
    let written = Written::items();
    let origin = written.origin("SELECT v FROM items WHERE k = ?");
    written.writer.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let error = ask_within(Duration::from_millis(50), &origin, b"text").unwrap_err();
    assert!(matches!(&error, FetchError::Unavailable(_)), "{error}");
    assert!(error.to_string().contains("database is locked"), "{error}");
    thread::scope(|scope| {
        let waiting = scope.spawn(|| ask(&origin, b"text"));
        thread::sleep(Duration::from_millis(20));
        written.writer.execute_batch("COMMIT").unwrap();
        assert_eq!(waiting.join().unwrap(), value(b"Ada"));
    });
}

#[test]
fn a_writer_with_a_log_does_not_delay_reads() {
    let written = Written::items();
    let writer = &written.writer;
    let mode: String = writer
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .unwrap();
    assert_eq!(mode, "wal");
    let origin = written.origin("SELECT v FROM items WHERE k = ?");
    writer
        .execute_batch("BEGIN IMMEDIATE; UPDATE items SET v = 'new' WHERE k = 'text'")
        .unwrap();
    // The writer holds its lock, and what it has not committed is not seen.
    assert_eq!(ask(&origin, b"text"), value(b"Ada"));
    writer.execute_batch("COMMIT").unwrap();
    assert_eq!(ask(&origin, b"text"), value(b"new"));
    // Both sides at once, with checkpoints in between.
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    assert_ne!(ask(&origin, b"text"), Ok(None));
                    ask(&origin, b"text").unwrap();
                }
            });
        }
        for number in 0..200 {
            let sql = format!("UPDATE items SET v = {number} WHERE k = 'text'");
            writer.execute_batch(&sql).unwrap();
            if number % 50 == 0 {
                let _ = writer.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()));
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(ask(&origin, b"text"), value(b"199"));
    assert!(origin.idle().len() <= 3, "a connection for each thread");
}
