//! The text of INFO, line by line.

use std::fmt::{Display, Write};

/// The text of INFO.
#[derive(Default)]
pub(super) struct InfoText {
    pub(super) text: String,
}

impl InfoText {
    pub(super) fn put(&mut self, name: &str, value: impl Display) {
        let _ = write!(self.text, "{name}:{value}\r\n");
    }

    /// A number of bytes, and the same for people.
    pub(super) fn put_bytes(&mut self, name: &str, bytes: u64) {
        self.put(name, bytes);
        let _ = write!(self.text, "{name}_human:{}\r\n", human(bytes));
    }
}

/// Bytes as Redis shows them to people: `1.79M`.
fn human(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["K", "M", "G", "T"];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.2}{}", UNITS[unit])
}
