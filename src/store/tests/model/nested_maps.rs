//! The model: nested maps in which everything that has expired is removed before every operation.

use std::collections::BTreeMap;

use super::super::START;
use super::Key;

/// A node of the model.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ModelNode {
    pub(super) value: Option<Vec<u8>>,
    pub(super) flags: u32,
    pub(super) expires_ms: Option<u64>,
    pub(super) children: BTreeMap<Key, ModelNode>,
}

/// The model: the database behind each number.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) databases: Vec<BTreeMap<Key, ModelNode>>,
    pub(super) flushes: Vec<Option<u64>>,
    pub(super) now_ms: u64,
}

pub(super) fn purge(children: &mut BTreeMap<Key, ModelNode>, now_ms: u64) {
    children.retain(|_, node| {
        purge(&mut node.children, now_ms);
        let alive = node.expires_ms.is_none_or(|expires_ms| expires_ms > now_ms);
        alive && (node.value.is_some() || !node.children.is_empty())
    });
}

impl Model {
    pub(super) fn new() -> Model {
        Model {
            databases: vec![BTreeMap::new(); 2],
            flushes: vec![None; 2],
            now_ms: START,
        }
    }

    pub(super) fn purge(&mut self) {
        for (db, flush) in self.flushes.iter_mut().enumerate() {
            if flush.is_some_and(|when_ms| when_ms <= self.now_ms) {
                *flush = None;
                self.databases[db].clear();
            }
            purge(&mut self.databases[db], self.now_ms);
        }
    }

    pub(super) fn children(
        &mut self,
        db: u8,
        path: &[Key],
    ) -> Option<&mut BTreeMap<Key, ModelNode>> {
        path.iter()
            .try_fold(&mut self.databases[usize::from(db)], |children, key| {
                children.get_mut(key).map(|node| &mut node.children)
            })
    }

    pub(super) fn node(&mut self, db: u8, path: &[Key]) -> Option<&mut ModelNode> {
        let (last, above) = path.split_last()?;
        self.children(db, above)?.get_mut(last)
    }
}
