//! The path of an item that is fetched: its database and its names.

/// Bytes that the names of a path may have together. A longer one is not fetched: no origin has such keys, and the bytes of
/// paths are held in memory while they wait.
pub(super) const PATH_LIMIT: usize = 4096;

/// The byte between the names of a path in the key that the origin gets.
const SEPARATOR: u8 = b':';

/// A path: `user`, or `user 42 name`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ItemPath {
    pub(super) db: u8,
    names: Box<[Box<[u8]>]>,
}

impl ItemPath {
    /// The path of these names; `None` if it is over the limit.
    pub(super) fn new(db: u8, names: &[&[u8]]) -> Option<ItemPath> {
        let length: usize = names.iter().map(|name| name.len()).sum();
        (length <= PATH_LIMIT).then(|| ItemPath {
            db,
            names: names.iter().map(|name| Box::from(*name)).collect(),
        })
    }

    /// Calls `work` with the names.
    pub(super) fn with_names<R>(&self, work: impl FnOnce(&[&[u8]]) -> R) -> R {
        let names: Vec<&[u8]> = self.names.iter().map(|name| &**name).collect();
        work(&names)
    }

    /// The key that the origin gets.
    pub(super) fn key(&self) -> Vec<u8> {
        self.names.join(&SEPARATOR)
    }

    /// Bytes that the path takes, without what holds it.
    pub(super) fn size(&self) -> usize {
        let names = self.names.iter();
        names.map(|name| name.len() + size_of::<Box<[u8]>>()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_joined_for_the_origin() {
        let path = ItemPath::new(0, &[b"user", b"42", b"name"]).unwrap();
        assert_eq!(path.key(), b"user:42:name");
        assert_eq!(ItemPath::new(0, &[b"user"]).unwrap().key(), b"user");
    }

    #[test]
    fn a_path_over_the_limit_is_not_fetched() {
        let long = vec![b'k'; PATH_LIMIT];
        assert!(ItemPath::new(0, &[&long]).is_some());
        assert!(ItemPath::new(0, &[&long, b"x"]).is_none());
    }
}
