//! The contents of an item, and the result of a `cas`.

/// A value with its flags.
///
/// ```
/// use larder::client::Item;
///
/// let item: Item = "text".into();
/// assert_eq!(item, Item { value: b"text".to_vec(), flags: 0 });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Item {
    /// The bytes.
    pub value: Vec<u8>,
    /// A number that the server keeps with the value. Clients use it for the value's type or encoding.
    pub flags: u32,
}

impl From<Vec<u8>> for Item {
    fn from(value: Vec<u8>) -> Item {
        Item { value, flags: 0 }
    }
}

impl From<String> for Item {
    fn from(value: String) -> Item {
        value.into_bytes().into()
    }
}

impl From<&[u8]> for Item {
    fn from(value: &[u8]) -> Item {
        value.to_vec().into()
    }
}

impl<const N: usize> From<&[u8; N]> for Item {
    fn from(value: &[u8; N]) -> Item {
        value.to_vec().into()
    }
}

impl From<&str> for Item {
    fn from(value: &str) -> Item {
        value.as_bytes().into()
    }
}

/// The result of a `cas`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CasOutcome {
    /// The item was replaced.
    Stored,
    /// The item has changed since it was read.
    Changed,
    /// There is no such item.
    NotFound,
}
