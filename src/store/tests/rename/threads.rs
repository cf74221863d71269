//! A huge tree that gets one name after another while other threads read, write and watch. Most of them do not wait for the
//! thread that renames.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// The state that the threads share.
struct Shared {
    store: Store,
    names: [Vec<u8>; 4],
    ended: AtomicBool,
}

impl Shared {
    fn new() -> Shared {
        let store = sharded();
        let names = names(&store);
        grow(&store, 0, &names[0]);
        Shared {
            store,
            names,
            ended: AtomicBool::new(false),
        }
    }

    /// Renames the tree, so many times. Now and then the new name exists in another database, or is watched there.
    fn rename(&self, times: usize) {
        let (store, mut at) = (&self.store, 0);
        for time in 0..times {
            let next = (at + 1 + time % 3) % 4;
            let (from, to) = (&self.names[at], &self.names[next]);
            let exclusive = store.exclusive();
            assert_eq!(store.rename((0, from), (0, to)), Some(Ok(())));
            drop(exclusive);
            at = next;
        }
        self.ended.store(true, Ordering::Release);
    }

    fn repeat(&self, mut work: impl FnMut()) {
        while !self.ended.load(Ordering::Acquire) {
            work();
        }
    }

    /// Whether a name has the tree; then it has all of it. Without the gate.
    fn has_tree(&self, name: &[u8]) -> bool {
        let found = fields(&self.store, 0, name);
        assert!(found.is_none_or(|count| count == FIELDS), "{found:?}");
        found.is_some()
    }

    /// Between two names of the tree, exactly one has it.
    fn count_names(&self) {
        let _shared = self.store.share();
        let mut has = [false; 4];
        for (has, name) in has.iter_mut().zip(&self.names) {
            *has = self.has_tree(name);
        }
        assert_eq!(has.iter().filter(|has| **has).count(), 1, "{has:?}");
    }

    fn write_field(&self, turn: u32) {
        for name in &self.names {
            let mut tree = self.store.lock(0, name);
            if let Some(top) = tree.find(&[name]) {
                let field = (turn % FIELDS).to_le_bytes();
                tree.put_child(top, &field, value(&[b"new"])).unwrap();
            }
        }
    }

    /// A key with one of the tree's names in another database is found until it is removed.
    fn store_elsewhere(&self, turn: u32) {
        let name = &self.names[turn as usize % 4];
        self.store
            .lock(1, name)
            .put(&[name], value(&[b"v"]))
            .unwrap();
        assert!(self.store.lock(1, name).find(&[name]).is_some());
        let mut tree = self.store.lock(1, name);
        let node = tree.peek(&[name]).expect("no other thread removes it");
        tree.remove(node);
    }

    /// A watch notices a change at once.
    fn watch(&self, turn: u32) {
        let name = &self.names[turn as usize % 4];
        let mut watcher = Watcher::default();
        self.store.watch(&mut watcher, 2, name);
        assert!(!self.store.has_changed(&watcher));
        self.store
            .lock(2, name)
            .put(&[name], value(&[b"v"]))
            .unwrap();
        assert!(self.store.has_changed(&watcher));
        self.store.unwatch(&mut watcher);
        let mut tree = self.store.lock(2, name);
        let node = tree.peek(&[name]).expect("no other thread removes it");
        tree.remove(node);
    }

    fn check(&self) {
        self.count_names();
        self.store.check();
        assert_eq!((self.store.len(1), self.store.len(2)), (0, 0));
        let watched = |shard: &std::sync::Mutex<_>| !locked(shard).watched.is_empty();
        assert!(!self.store.shards.iter().any(watched), "no watch is left");
        self.store.flush_all();
        assert_eq!(self.store.used(), 0);
        assert!(self.store.placements.keys().is_empty());
    }
}

fn counted(mut work: impl FnMut(u32)) -> impl FnMut() {
    let mut turn = 0;
    move || {
        work(turn);
        turn += 1;
    }
}

#[test]
fn exactly_one_name_has_the_tree_and_all_of_it_while_other_threads_run() {
    let shared = Shared::new();
    std::thread::scope(|scope| {
        let shared = &shared;
        scope.spawn(|| shared.repeat(|| shared.count_names()));
        scope.spawn(|| shared.repeat(|| _ = shared.has_tree(&shared.names[2])));
        scope.spawn(|| shared.repeat(counted(|turn| shared.write_field(turn))));
        scope.spawn(|| shared.repeat(counted(|turn| shared.store_elsewhere(turn))));
        scope.spawn(|| shared.repeat(counted(|turn| shared.watch(turn))));
        scope.spawn(|| shared.rename(2_000));
    });
    shared.check();
}

/// The same in orders that follow from a number, with a switch before every lock.
#[cfg(all(feature = "internals", debug_assertions))]
#[test]
fn exactly_one_name_has_the_tree_in_every_order_of_locks() {
    use crate::store::interleaving;

    for seed in 0..60 {
        let shared = &Shared::new();
        let turns = |work: fn(&Shared, u32)| move || (0..6).for_each(|turn| work(shared, turn));
        interleaving::run(
            seed,
            vec![
                Box::new(|| shared.rename(8)),
                Box::new(turns(|shared, _| shared.count_names())),
                Box::new(turns(Shared::write_field)),
                Box::new(turns(Shared::store_elsewhere)),
                Box::new(turns(Shared::watch)),
            ],
        );
        shared.check();
    }
}
