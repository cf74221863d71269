//! The store against a naive model.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

mod nested_maps;
mod operations;
mod watches;

use nested_maps::{Model, ModelNode};
use operations::{Operation, cases, step};
use watches::ModelWatch;

type Key = Vec<u8>;

/// Store and model side by side. A bounded store may lack nodes that the model still has, never the
/// reverse.
struct StoreAndModel {
    store: Arc<Store>,
    model: Model,
    watches: Vec<ModelWatch>,
    bounded: bool,
}

fn refs(path: &[Key]) -> Vec<&[u8]> {
    path.iter().map(Vec::as_slice).collect()
}

impl StoreAndModel {
    fn new(memory: u64) -> StoreAndModel {
        let config = Config {
            memory,
            // Values that grow again and again stay below it.
            max_item_size: 1 << 20,
            shards: 2,
            ..Config::default()
        };
        let bounded = memory < 1 << 20;
        StoreAndModel {
            store: Arc::new(Store::new(config, Clock::manual(START))),
            model: Model::new(),
            watches: Vec::new(),
            bounded,
        }
    }

    /// Asserts that the store has a node exactly if the model has it; in a bounded store, only if.
    fn agree(&self, store: bool, model: bool) {
        if self.bounded {
            assert!(model || !store, "the store has what the model hasn't");
        } else {
            assert_eq!(store, model);
        }
    }

    /// Does something with a node that both have.
    fn with_node(
        &mut self,
        db: u8,
        path: &[Key],
        store: impl FnOnce(&mut Tree<'_>, Node),
        model: impl FnOnce(&mut ModelNode),
    ) {
        let mut tree = self.store.lock(db, &path[0]);
        let node = tree.peek(&refs(path));
        let naive = self.model.node(db, path);
        let there = (node.is_some(), naive.is_some());
        if let (Some(node), Some(naive)) = (node, naive) {
            store(&mut tree, node);
            model(naive);
        }
        drop(tree);
        self.agree(there.0, there.1);
    }

    fn put(&mut self, db: u8, path: &[Key], value: Vec<u8>, flags: u32, expires_ms: Option<u64>) {
        let entry = Entry {
            value: Some(&[&value]),
            flags,
            expires_ms,
        };
        let put = self
            .store
            .lock(db, &path[0])
            .put(&refs(path), entry)
            .is_ok();
        let (last, above) = path.split_last().expect("a path has keys");
        let parent = self.model.children(db, above);
        let parent_there = parent.is_some();
        if let (true, Some(parent)) = (put, parent) {
            let node = ModelNode {
                value: Some(value),
                flags,
                expires_ms,
                ..ModelNode::default()
            };
            parent.insert(last.clone(), node);
        }
        self.agree(put, parent_there);
    }

    fn step(&mut self, step: Operation) {
        self.model.purge();
        let now_ms = self.model.now_ms;
        match step {
            Operation::Put(db, path, value, flags, life) => {
                self.put(db, &path, value, flags, life.map(|life| now_ms + life));
            }
            Operation::PutMany(db, mut path, count, life) => {
                path.push(Key::new());
                for number in 0..count {
                    *path.last_mut().expect("it has keys") = number.to_le_bytes().to_vec();
                    let life = life.filter(|_| number % 3 == 0);
                    let expires_ms = life.map(|life| now_ms + life + u64::from(number) % 5);
                    self.put(db, &path, b"v".to_vec(), 0, expires_ms);
                }
            }
            Operation::PutField(db, key, field, value) => {
                let mut tree = self.store.lock(db, &key);
                let node = match tree.peek(&[&key]) {
                    Some(node) => node,
                    None => {
                        self.model.databases[usize::from(db)].remove(&key);
                        tree.put(&[&key], Entry::default()).expect("it fits")
                    }
                };
                let entry = Entry {
                    value: Some(&[&value]),
                    ..Entry::default()
                };
                let child = tree.put_child(node, &field, entry).expect("it fits");
                assert_eq!(tree.item(child).value(), Some(&value[..]));
                let parent = self.model.databases[usize::from(db)]
                    .entry(key.clone())
                    .or_default();
                parent.children.insert(
                    field,
                    ModelNode {
                        value: Some(value),
                        ..ModelNode::default()
                    },
                );
            }
            Operation::SetValue(db, path, value) => self.with_node(
                db,
                &path,
                |tree, node| tree.set_value(node, &[&value]).expect("it fits"),
                |naive| naive.value = Some(value.clone()),
            ),
            Operation::Extend(db, path, before, after) => self.with_node(
                db,
                &path,
                |tree, node| tree.extend_value(node, &before, &after).expect("it fits"),
                |naive| {
                    let value = naive.value.take().unwrap_or_default();
                    naive.value = Some([&before[..], &value, &after].concat());
                },
            ),
            Operation::SetFlags(db, path, flags) => self.with_node(
                db,
                &path,
                |tree, node| tree.set_flags(node, flags),
                |naive| naive.flags = flags,
            ),
            Operation::SetExpiry(db, path, life) => {
                let expires_ms = life.map(|life| now_ms + life);
                self.with_node(
                    db,
                    &path,
                    |tree, node| tree.set_expiry(node, expires_ms),
                    |naive| naive.expires_ms = expires_ms,
                );
            }
            Operation::Grow(db, key) => {
                let names: Vec<Key> = (0..300).map(|n| format!("{n}").into_bytes()).collect();
                let field = Entry {
                    value: Some(&[b"1"]),
                    ..Entry::default()
                };
                self.with_node(
                    db,
                    &[key],
                    |tree, node| {
                        for name in &names {
                            tree.put_child(node, name, field).expect("it fits");
                        }
                    },
                    |naive| {
                        let field = ModelNode {
                            value: Some(b"1".to_vec()),
                            ..ModelNode::default()
                        };
                        let fields = names.iter().map(|name| (name.clone(), field.clone()));
                        naive.children.extend(fields);
                    },
                );
            }
            Operation::Remove(db, path) => {
                let mut tree = self.store.lock(db, &path[0]);
                let node = tree.peek(&refs(&path));
                if let Some(node) = node {
                    tree.remove(node);
                }
                drop(tree);
                let (last, above) = path.split_last().expect("a path has keys");
                let there = self
                    .model
                    .children(db, above)
                    .and_then(|children| children.remove(last));
                self.agree(node.is_some(), there.is_some());
            }
            Operation::Find(db, path) => {
                let mut tree = self.store.lock(db, &path[0]);
                let node = tree.find(&refs(&path));
                if let (Some(node), Some(naive)) = (node, self.model.node(db, &path)) {
                    let item = tree.item(node);
                    assert_eq!(item.value(), naive.value.as_deref());
                    assert_eq!(
                        (item.flags(), item.expires_ms()),
                        (naive.flags, naive.expires_ms)
                    );
                    assert_eq!(item.key(), path.last().expect("a path has keys"));
                }
                drop(tree);
                let model = self.model.node(db, &path).is_some();
                self.agree(node.is_some(), model);
            }
            Operation::Children(db, path) => {
                let mut tree = self.store.lock(db, &path[0]);
                let node = tree.peek(&refs(&path));
                if let (Some(node), Some(naive)) = (node, self.model.node(db, &path)) {
                    let mut names: Vec<Key> = Vec::new();
                    for child in tree.children(node) {
                        names.push(tree.item(child).key().to_vec());
                    }
                    names.sort();
                    assert!(names.iter().all(|name| naive.children.contains_key(name)));
                    assert!(self.bounded || names.len() == naive.children.len());
                }
            }
            Operation::Move(a, from, b, to) => {
                let renamed = self.store.rename((a, &from), (b, &to));
                let naive = self.model.databases[usize::from(a)].remove(&from);
                self.agree(renamed.is_some(), naive.is_some());
                if let (Some(renamed), Some(naive)) = (renamed, naive) {
                    renamed.expect("it fits");
                    self.model.databases[usize::from(b)].insert(to, naive);
                }
            }
            Operation::Copy(a, from, b, to) => {
                let order = CopyOrder {
                    from: (a, &from),
                    to: (b, &to),
                    replaces: true,
                };
                let copied = TreeCopy::new(&self.store).go_on(&order, true);
                let naive = self.model.databases[usize::from(a)].get(&from).cloned();
                if let (CopyState::Done(Ok(true)), Some(naive)) = (copied, naive) {
                    self.model.databases[usize::from(b)].insert(to, naive);
                }
            }
            Operation::Watch(db, key) => {
                let watch = ModelWatch::begin(&self.store, &mut self.model, db, key);
                self.watches.push(watch);
            }
            Operation::EndWatches => {
                for watch in self.watches.drain(..) {
                    watch.end(&self.store, &mut self.model, self.bounded);
                }
            }
            Operation::Advance(ms) => {
                self.store.clock().advance(Duration::from_millis(ms));
                self.model.now_ms += ms;
            }
            Operation::Sweep(slots) => drop(self.store.sweep(slots)),
            Operation::FreePiece => self.store.free_detached(|| false),
            Operation::Flush(db) => {
                self.store.flush(db);
                self.model.databases[usize::from(db)].clear();
                self.model.flushes[usize::from(db)] = None;
            }
            Operation::FlushAt(db, after) => {
                self.store.flush_at(db, now_ms + after);
                self.model.flushes[usize::from(db)] = Some(now_ms + after);
            }
            Operation::Swap => {
                self.store.swap(0, 1);
                self.model.databases.swap(0, 1);
                self.model.flushes.swap(0, 1);
            }
            Operation::Compare => self.compare(),
        }
        assert!(self.store.resident() <= self.store.memory());
        self.store.check();
    }

    /// Compares all items, by a scan.
    fn compare(&mut self) {
        self.model.purge();
        for db in 0..2 {
            let mut keys = Vec::new();
            let mut cursor = 0;
            loop {
                cursor = self
                    .store
                    .scan(db, cursor, 50, |item| keys.push(item.key().to_vec()));
                if cursor == 0 {
                    break;
                }
            }
            let mut found = BTreeMap::new();
            for key in keys {
                let mut tree = self.store.lock(db, &key);
                if let Some(node) = tree.peek(&[&key]) {
                    let naive = read(&mut tree, node);
                    assert_eq!(found.insert(key, naive), None, "a scan shows nothing twice");
                }
            }
            let model = &self.model.databases[usize::from(db)];
            if self.bounded {
                found
                    .iter()
                    .for_each(|(key, node)| within(node, &model[key]));
            } else {
                assert_eq!(&found, model);
            }
        }
    }
}

/// Reads a node of the store with all below it.
fn read(tree: &mut Tree<'_>, node: Node) -> ModelNode {
    let item = tree.item(node);
    let mut naive = ModelNode {
        value: item.value().map(<[u8]>::to_vec),
        flags: item.flags(),
        expires_ms: item.expires_ms(),
        children: BTreeMap::new(),
    };
    for child in tree.children(node) {
        let key = tree.item(child).key().to_vec();
        naive.children.insert(key, read(tree, child));
    }
    naive
}

/// Asserts that a node is as the model has it, but for children that are gone.
fn within(node: &ModelNode, model: &ModelNode) {
    assert_eq!(
        (&node.value, node.flags, node.expires_ms),
        (&model.value, model.flags, model.expires_ms)
    );
    node.children
        .iter()
        .for_each(|(key, child)| within(child, &model.children[key]));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_store_that_never_fills_is_the_model(steps in prop::collection::vec(step(40), 1..150)) {
        let mut pair = StoreAndModel::new(64 << 20);
        for step in steps {
            pair.step(step);
        }
        pair.compare();
        flush_whole(&pair.store);
        prop_assert_eq!(pair.store.used(), 0);
    }

    #[test]
    fn a_full_store_stays_within_its_bound_and_answers_the_newest_values(
        steps in prop::collection::vec(step(3000), 1..150),
    ) {
        let mut pair = StoreAndModel::new(24 << 10);
        for step in steps {
            pair.step(step);
        }
        pair.compare();
        // No scan shows expired items.
        pair.store.sweep(usize::MAX);
        for db in 0..2 {
            let mut keys = Vec::new();
            pair.store.scan(db, 0, usize::MAX, |item| keys.push(item.key().to_vec()));
            for key in keys {
                let mut tree = pair.store.lock(db, &key);
                let node = tree.peek(&[&key]);
                node.into_iter().for_each(|node| tree.remove(node));
            }
        }
        pair.store.free_detached(|| true);
        prop_assert_eq!(pair.store.used(), 0);
    }
}
