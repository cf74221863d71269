//! Writing requests, as clients do: an array of bulk strings.

use super::reply::Reply;

/// Appends a request of these words.
pub(crate) fn write_request<'a>(out: &mut Vec<u8>, words: impl ExactSizeIterator<Item = &'a [u8]>) {
    let mut reply = Reply::new(out, false, usize::MAX);
    reply.array(words.len());
    words.for_each(|word| reply.bulk(word));
}

/// A request of these words.
pub fn request(words: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    write_request(&mut out, words.iter().copied());
    out
}
