//! Reads replies and compares their meaning.

pub(crate) fn encoded(words: &[String]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len());
    for word in words {
        bytes.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    bytes.into_bytes()
}

/// A reply, read: its first byte, its line or bytes, its elements.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Value {
    pub(crate) kind: u8,
    pub(crate) text: Vec<u8>,
    pub(crate) elements: Vec<Value>,
}

impl Value {
    fn integer(&self) -> Option<i64> {
        (self.kind == b':').then(|| String::from_utf8_lossy(&self.text).parse().ok())?
    }
}

/// Reads one reply from the start of `bytes`; `None` if it isn't whole.
pub(crate) fn read(bytes: &[u8]) -> Option<(Value, &[u8])> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let (line, mut rest) = (&bytes[1..end], &bytes[end + 2..]);
    let mut value = Value {
        kind: bytes[0],
        text: line.to_vec(),
        elements: Vec::new(),
    };
    let length = std::str::from_utf8(line)
        .ok()
        .and_then(|line| line.parse::<i64>().ok());
    match (value.kind, length) {
        (b'$' | b'=', Some(length @ 0..)) => {
            value.text = rest.get(..length as usize)?.to_vec();
            rest = rest.get(length as usize + 2..)?;
        }
        (b'*' | b'~' | b'%' | b'>', Some(length @ 0..)) => {
            for _ in 0..length * if value.kind == b'%' { 2 } else { 1 } {
                let (element, behind) = read(rest)?;
                value.elements.push(element);
                rest = behind;
            }
        }
        _ => {}
    }
    Some((value, rest))
}

/// Sorts elements without an order.
pub(crate) fn settle(words: &[String], mut value: Value) -> Value {
    let name = words[0].as_str();
    let elements = match name {
        "SCAN" | "HSCAN" => match value.elements.get_mut(1) {
            Some(found) => &mut found.elements,
            None => return value,
        },
        _ => &mut value.elements,
    };
    let flat = elements.first().is_some_and(|first| first.kind == b'$');
    let in_pairs = matches!(name, "HGETALL" | "HSCAN") || words.len() == 4 && name == "HRANDFIELD";
    match name {
        "HGETALL" | "HSCAN" | "HRANDFIELD" if in_pairs && flat => {
            let mut pairs: Vec<_> = elements.chunks(2).map(<[Value]>::to_vec).collect();
            pairs.sort();
            *elements = pairs.concat();
        }
        "KEYS" | "SCAN" | "HKEYS" | "HVALS" | "HRANDFIELD" => elements.sort(),
        _ => {}
    }
    value
}

/// Whether both mean the same; a time may have gone on in between.
pub(crate) fn same(words: &[String], ours: &Value, theirs: &Value) -> bool {
    // One field by chance, when the count was left out.
    if words[0] == "HRANDFIELD" && words.len() == 2 {
        return ours.kind == theirs.kind;
    }
    // Times are so different that a minute, which a busy machine may take, hides no mistake.
    let slack = match words[0].as_str() {
        "TTL" | "EXPIRETIME" => 60,
        "PTTL" | "PEXPIRETIME" => 60_000,
        _ => 0,
    };
    match (ours.integer(), theirs.integer()) {
        (Some(ours), Some(theirs)) if ours > 0 && theirs > 0 => ours.abs_diff(theirs) <= slack,
        _ => ours == theirs,
    }
}
