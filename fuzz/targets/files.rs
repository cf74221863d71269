//! The readers of files: settings, lists of servers, users, snapshots, the spool, and transcripts.

use std::sync::Arc;

use larder::fuzzed;
use larder::store::{Clock, Config, Store};
use larder::tools::transcript;
use larder::{Placement, Ring, ServerList};

use super::chosen;

/// The store of a target: one shard, 1 MiB, a clock that stands still.
pub(crate) fn store() -> Arc<Store> {
    let config = Config {
        memory: 1 << 20,
        max_item_size: 64 << 10,
        shards: 1,
        ..Config::default()
    };
    Arc::new(Store::new(config, Clock::manual(1_795_000_000_000)))
}

/// larder.toml: an error names the line.
pub(crate) fn settings_file(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Err(problem) = fuzzed::settings_file(&text) {
        assert!(problem.contains("line "), "{problem}");
    }
}

/// servers.txt and peers.txt: an error names a line of the file, and every key of a list has one of its servers.
pub(crate) fn server_list(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match text.parse::<ServerList>() {
        Err(error) => assert!(error.line <= text.lines().count()),
        // A server has hundreds of points on the ring.
        Ok(list) if list.servers().len() <= 4 => {
            let ring = Ring::new(&list, Placement::Ketama);
            for key in ["", "a", "b"] {
                assert!(ring.server(key.as_bytes()) < list.servers().len());
            }
        }
        Ok(list) => assert!(list.servers().iter().all(|server| server.weight > 0)),
    }
}

/// A file of memcached's users.
pub(crate) fn auth_file(bytes: &[u8]) {
    match fuzzed::auth_file(bytes, b"user", b"password") {
        Ok(_) => {}
        Err(line) => assert!(line >= 1 && line <= 1 + bytes.len()),
    }
}

/// A file of Redis's users: what ACL SAVE writes is read back as the same.
pub(crate) fn acl_file(bytes: &[u8]) {
    if let Ok(saved) = fuzzed::acl_file(bytes) {
        let again = fuzzed::acl_file(&saved);
        let shown = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
        assert_eq!(again.map(|text| shown(&text)), Ok(shown(&saved)));
    }
}

/// A snapshot, as it is or made of records with the right checksums: the store is whole afterwards, empty after an
/// error, and its own snapshot is loaded again.
pub(crate) fn snapshot(bytes: &[u8]) {
    let (choice, rest) = chosen(bytes);
    let file = match choice % 2 {
        0 => rest.to_vec(),
        _ => fuzzed::snapshot_of(rest),
    };
    let first = store();
    match fuzzed::load_snapshot(&first, &file) {
        Err(_) => assert_eq!((0..16).map(|db| first.len(db)).sum::<usize>(), 0),
        Ok(_) => {
            let second = store();
            fuzzed::load_snapshot(&second, &fuzzed::snapshot(&first)).expect("it is whole");
            second.check();
            for db in 0..16 {
                assert_eq!(second.len(db), first.len(db), "database {db}");
            }
        }
    }
    first.check();
}

/// The records of the spool: a record that is read is written as the same bytes.
pub(crate) fn spool(bytes: &[u8]) {
    if let Some(again) = fuzzed::spool_record(bytes) {
        assert_eq!(again, bytes);
    }
    if let Some(row) = fuzzed::spool_row(bytes) {
        assert_eq!(fuzzed::spool_row(&row), Some(row));
    }
}

/// A transcript: an error is a sentence.
pub(crate) fn transcript(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Err(error) = transcript::parse("name", "file", &text) {
        assert!(!error.to_string().is_empty());
    }
}
