use std::collections::HashMap;
use std::path::Path;

use super::directory::RETRY;
use super::memory::SpoolMemory;
use super::*;

const FIRST: DeliveryId = DeliveryId {
    upstream: 1,
    number: 0,
};

fn open(directory: &Path) -> (Spool, SpoolCondition) {
    Spool::open(directory, false).expect("it opens")
}

fn record(sequence: u64) -> PendingRecord {
    PendingRecord {
        sequence,
        value: None,
    }
}

fn put(spool: &Spool, keys: std::ops::Range<u64>) -> SpoolResult<()> {
    spool.write(|group| {
        for number in keys {
            group.put(
                FIRST,
                format!("key{number}").as_bytes(),
                &record(number + 1),
            )?;
        }
        Ok(())
    })
}

fn keys(spool: &Spool) -> Vec<String> {
    let found = spool
        .scan(FIRST, None, usize::MAX, usize::MAX)
        .expect("a snapshot");
    let key = |found: PendingChange| String::from_utf8_lossy(&found.key).into_owned();
    found.into_iter().map(key).collect()
}

#[test]
fn a_key_is_pending_once_and_only_the_newest_is_struck_out() {
    let directory = tempfile::tempdir().expect("a directory");
    let (spool, found) = open(directory.path());
    assert_eq!(found, SpoolCondition::Sound);
    spool
        .write(|group| {
            group.put(FIRST, b"a", &record(1))?;
            group.put(FIRST, b"a", &record(2))?;
            group.put(FIRST, b"b", &record(3))?;
            // The first was delivered, but another one is pending now.
            group.remove(FIRST, b"a", 1)?;
            // A change that is returned late does not supersede a newer one.
            group.put_older(FIRST, b"b", &record(1))?;
            assert_eq!(group.len(FIRST)?, 2);
            Ok(())
        })
        .expect("it is recorded");
    let found = spool.scan(FIRST, None, 10, usize::MAX).expect("a snapshot");
    let sequences: Vec<_> = found.iter().map(|found| found.record.sequence).collect();
    assert_eq!(sequences, [2, 3]);
    let after = spool
        .scan(FIRST, Some(b"a"), 10, usize::MAX)
        .expect("a snapshot");
    assert_eq!(after.len(), 1);
    spool
        .write(|group| group.remove(FIRST, b"a", 2))
        .expect("it is struck out");
    assert_eq!(keys(&spool), ["b"]);
}

#[test]
fn a_group_that_fails_leaves_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let (spool, _) = open(directory.path());
    put(&spool, 0..2).expect("it is recorded");
    let failed: SpoolResult<()> = spool.write(|group| {
        group.put(FIRST, b"other", &record(9))?;
        Err(SpoolError::Io("on purpose".to_owned()))
    });
    assert!(failed.is_err());
    std::thread::sleep(RETRY);
    put(&spool, 2..3).expect("it is open again");
    assert_eq!(keys(&spool), ["key0", "key1", "key2"]);
}

#[test]
fn two_processes_can_not_use_one_spool() {
    let directory = tempfile::tempdir().expect("a directory");
    let (first, _) = open(directory.path());
    let second = Spool::open(directory.path(), false)
        .err()
        .expect("it is taken");
    assert!(second.contains("another larder invalidate"), "{second}");
    drop(first);
    open(directory.path());
}

#[test]
fn a_full_disk_is_an_error_and_recorded_changes_stay() {
    let memory = SpoolMemory::default();
    let (spool, _) = memory.open().expect("it opens");
    put(&spool, 0..100).expect("there is room");
    memory.set_full(true);
    for _ in 0..3 {
        let full = put(&spool, 100..200).expect_err("there is no room");
        assert!(matches!(full, SpoolError::Io(_)), "{full}");
    }
    assert!(spool.problem().is_some());
    memory.set_full(false);
    put(&spool, 200..201).expect("there is room again");
    assert_eq!(spool.problem(), None);
    assert_eq!(keys(&spool).len(), 101);
    // And nothing of it was only in memory.
    drop(spool);
    let (spool, found) = memory.open().expect("it opens");
    assert_eq!((keys(&spool).len(), found), (101, SpoolCondition::Sound));
}

#[test]
fn a_spool_that_is_missing_empty_or_damaged_is_distinguished_from_a_new_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join(FILE);
    drop(open(directory.path()));
    assert_eq!(open(directory.path()).1, SpoolCondition::Sound);
    std::fs::remove_file(&file).expect("it is there");
    assert!(matches!(open(directory.path()).1, SpoolCondition::Lost(_)));
    for text in [&b""[..], b"nonsense", &[0; 8192]] {
        std::fs::write(&file, text).expect("it is written");
        let (spool, found) = open(directory.path());
        assert!(matches!(&found, SpoolCondition::Lost(_)), "{found:?}");
        put(&spool, 0..1).expect("the new one works");
        assert_eq!(keys(&spool), ["key0"]);
    }
    let kept = std::fs::read_dir(directory.path()).expect("it is there");
    let kept = kept.filter(|entry| {
        let name = entry.as_ref().expect("an entry").file_name();
        name.to_string_lossy().contains("damaged")
    });
    assert_eq!(kept.count(), 3);
}

/// With any damage to the file, the spool returns the recorded changes, or an error that it is damaged.
#[test]
fn a_changed_byte_or_a_cut_is_found_at_the_next_start() {
    let directory = tempfile::tempdir().expect("a directory");
    let (spool, _) = open(directory.path());
    for round in 0..20 {
        put(&spool, round * 100..(round + 1) * 100).expect("it is recorded");
    }
    let whole = keys(&spool);
    drop(spool);
    let file = directory.path().join(FILE);
    let good = std::fs::read(&file).expect("it is there");
    let mut outcomes: HashMap<&str, u32> = HashMap::new();
    let mut check = |bytes: &[u8], what: &str| {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("lock"), "").expect("it is written");
        std::fs::write(directory.path().join(FILE), bytes).expect("it is written");
        let (spool, found) = open(directory.path());
        match found {
            SpoolCondition::Sound => {
                assert_eq!(keys(&spool), whole, "{what}");
                put(&spool, 5000..5001).expect("it can be written");
                *outcomes.entry("sound").or_default() += 1;
            }
            SpoolCondition::Lost(_) => {
                assert_eq!(keys(&spool).len(), 0, "{what}");
                put(&spool, 0..1).expect("the new one works");
                *outcomes.entry("lost").or_default() += 1;
            }
        }
    };
    let step = good.len() / 150;
    for at in (0..good.len()).step_by(step).chain(0..128) {
        let mut bytes = good.clone();
        bytes[at] ^= 0x40;
        check(&bytes, &format!("byte {at} changed"));
    }
    for length in (0..good.len()).step_by(good.len() / 20) {
        check(&good[..length], &format!("cut at {length}"));
    }
    assert!(outcomes["lost"] > 20, "{outcomes:?}");
}

#[test]
fn second_deletes_come_when_they_are_due_and_when_the_clock_has_gone_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let (spool, _) = open(directory.path());
    let take = |now, ahead| {
        let taken = spool.write(|group| group.take_again(1, now, ahead, 10));
        let (keys, next) = taken.expect("it is read");
        let keys: Vec<String> = keys
            .iter()
            .map(|key| String::from_utf8_lossy(key).into_owned())
            .collect();
        (keys.join(" "), next)
    };
    spool
        .write(|group| {
            group.put_again(1, 1500, 1, b"a")?;
            group.put_again(1, 1700, 2, b"b")?;
            group.put_again(1, 9000, 3, b"c")
        })
        .expect("it is recorded");
    assert_eq!(take(1000, 10_000), (String::new(), Some(1500)));
    assert_eq!(take(1600, 10_000), ("a".to_owned(), Some(1700)));
    // `c` was noted when the clock was far ahead of now.
    assert_eq!(take(1600, 500), ("c".to_owned(), Some(1700)));
    assert_eq!(take(1700, 500), ("b".to_owned(), None));
}

#[test]
fn a_pending_set_moves_to_other_deliveries_whole() {
    let directory = tempfile::tempdir().expect("a directory");
    let (spool, _) = open(directory.path());
    put(&spool, 0..1000).expect("it is recorded");
    let to = |key: &[u8]| DeliveryId {
        upstream: 2,
        number: u16::from(key[key.len() - 1] % 2),
    };
    while spool
        .write(|group| group.move_some(FIRST, to, 64))
        .expect("it moves")
        > 0
    {}
    assert_eq!(keys(&spool).len(), 0);
    let lens = [0, 1].map(|delivery| {
        let id = DeliveryId {
            upstream: 2,
            number: delivery,
        };
        spool.write(|group| group.len(id)).expect("it is counted")
    });
    assert_eq!(lens, [500, 500]);
}
