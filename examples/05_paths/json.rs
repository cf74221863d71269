//! Names, which are bytes, as a JSON array, which is text.

use std::sync::Arc;

pub(crate) fn array(names: &[Arc<[u8]>]) -> Vec<u8> {
    let mut json = vec![b'['];
    for (index, name) in names.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        string(&mut json, name);
    }
    json.push(b']');
    json
}

/// Text as it is, with JSON's escapes; a byte that is no text as a lone surrogate, so that it can be read back.
fn string(json: &mut Vec<u8>, name: &[u8]) {
    json.push(b'"');
    for chunk in name.utf8_chunks() {
        for &byte in chunk.valid().as_bytes() {
            match byte {
                b'"' | b'\\' => json.extend_from_slice(&[b'\\', byte]),
                0..0x20 | 0x7f => json.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
                _ => json.push(byte),
            }
        }
        for byte in chunk.invalid() {
            json.extend_from_slice(format!("\\udc{byte:02x}").as_bytes());
        }
    }
    json.push(b'"');
}
