//! Requests of memcached's binary protocol, with an opaque of zero.

/// A request without a cas unique.
pub(crate) fn binary_request(opcode: u8, extras: &[u8], key: &[u8], value: &[u8]) -> Vec<u8> {
    conditional_binary_request(opcode, extras, key, value, 0)
}

/// A request for an item with this cas unique.
pub(crate) fn conditional_binary_request(
    opcode: u8,
    extras: &[u8],
    key: &[u8],
    value: &[u8],
    unique: u64,
) -> Vec<u8> {
    let body = (extras.len() + key.len() + value.len()) as u32;
    let mut header = vec![0x80, opcode];
    header.extend((key.len() as u16).to_be_bytes());
    header.extend([extras.len() as u8, 0, 0, 0]);
    header.extend(body.to_be_bytes());
    header.extend([0; 4]);
    header.extend(unique.to_be_bytes());
    [&header, extras, key, value].concat()
}
