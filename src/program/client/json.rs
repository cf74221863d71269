//! Results as JSON, one object in a line. JSON has no bytes: a key or a value that isn't UTF-8 is written in base64, under a
//! name that says so.

use serde_json::{Map, Value};

use super::outcome::Outcome;
use crate::protocol::memcached::text::meta::base64;

/// The result of a request about one key.
pub(super) fn outcome(key: &[u8], outcome: &Outcome) -> Value {
    let mut object = Map::new();
    add_bytes(&mut object, "key", key);
    let result = match outcome {
        Outcome::Value { value, flags, ttl } => {
            add_bytes(&mut object, "value", value);
            object.insert("flags".into(), (*flags).into());
            if let Some(ttl) = ttl {
                object.insert("ttl".into(), (*ttl).into());
            }
            "found"
        }
        Outcome::Number(number) => {
            object.insert("value".into(), number.clone().into());
            "found"
        }
        Outcome::Done(result) | Outcome::Miss(result) => result,
    };
    object.insert("result".into(), result.into());
    Value::Object(object)
}

/// Adds a text, or under the name `NAME_base64` any other bytes.
pub(in crate::program) fn add_bytes(object: &mut Map<String, Value>, name: &str, bytes: &[u8]) {
    match str::from_utf8(bytes) {
        Ok(text) => object.insert(name.to_owned(), text.into()),
        Err(_) => object.insert(format!("{name}_base64"), encoded(bytes).into()),
    };
}

/// Bytes in base64.
pub(in crate::program) fn encoded(bytes: &[u8]) -> String {
    let mut text = Vec::new();
    base64::encode(bytes, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_in_base64() {
        let value = |value: &[u8], ttl| Outcome::Value {
            value: value.to_vec(),
            flags: 7,
            ttl,
        };
        for (key, result, expected) in [
            (
                &b"k"[..],
                value(b"\"v\"\n", Some(None)),
                r#"{"flags":7,"key":"k","result":"found","ttl":null,"value":"\"v\"\n"}"#,
            ),
            (
                b"\xff",
                value(b"\xfe\xff", Some(Some(60))),
                r#"{"flags":7,"key_base64":"/w==","result":"found","ttl":60,"value_base64":"/v8="}"#,
            ),
            (
                b"n",
                Outcome::Number(u64::MAX.into()),
                r#"{"key":"n","result":"found","value":18446744073709551615}"#,
            ),
            (
                b"k",
                Outcome::Miss("missing"),
                r#"{"key":"k","result":"missing"}"#,
            ),
        ] {
            assert_eq!(outcome(key, &result).to_string(), expected);
        }
    }
}
