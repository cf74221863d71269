//! A frame: one request or one reply, cut into fields. The fields are all bytes of the frame, in order and without gaps.

/// A part of a frame, with its name in the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) bytes: Vec<u8>,
}

/// A complete request or reply.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Frame {
    pub(super) fields: Vec<Field>,
    /// The command of a request in small letters, or the kind of a reply.
    pub(super) name: String,
    /// A reply that is an error.
    pub(super) is_error: bool,
    /// The number of a request's replies: none or one.
    pub(super) answered: bool,
}

impl Frame {
    pub(super) fn push(&mut self, name: &'static str, bytes: &[u8]) {
        self.fields.push(Field {
            name,
            bytes: bytes.to_vec(),
        });
    }

    /// All its bytes.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let fields = self.fields.iter().map(|field| field.bytes.as_slice());
        fields.collect::<Vec<_>>().concat()
    }

    /// The field with this name.
    pub(super) fn field(&self, name: &str) -> Option<&[u8]> {
        let field = self.fields.iter().find(|field| field.name == name)?;
        Some(&field.bytes)
    }

    /// Its length in bytes.
    pub(super) fn len(&self) -> usize {
        self.fields.iter().map(|field| field.bytes.len()).sum()
    }

    /// The words of a request behind its command, which include the keys.
    pub(super) fn words(&self) -> impl Iterator<Item = &[u8]> {
        let named = self.fields.iter();
        let words = named.filter(|field| matches!(field.name, "key" | "argument"));
        words.map(|field| field.bytes.as_slice())
    }
}

/// The result of reading a frame at the start of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CutResult {
    /// A complete frame.
    Frame(Frame),
    /// An incomplete frame.
    More,
    /// Not the protocol.
    Unknown,
}

/// Takes a line of at most `limit` bytes. Returns its text and its end.
pub(super) fn line(bytes: &[u8], limit: usize) -> Result<(&[u8], &[u8]), CutResult> {
    match memchr::memchr(b'\n', bytes) {
        None if bytes.len() > limit => Err(CutResult::Unknown),
        None => Err(CutResult::More),
        Some(end) => {
            let text = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
            Ok((text, &bytes[text.len()..=end]))
        }
    }
}
