//! Whether a server has the settings that a transcript needs.

use super::check::Probe;
use crate::tools::transcript::{Protocol, Transcript};

/// Why a transcript is not tried on a server: it has other settings, or they are not known. One
/// that is asked for by its whole name is tried.
pub(super) fn missing(probe: &Probe, transcript: &Transcript, only: &[String]) -> Option<String> {
    if only.contains(&transcript.name) {
        return None;
    }
    let mut missing = Vec::new();
    for (name, value) in &transcript.options {
        let is_so = match (transcript.protocol, name.as_str()) {
            (Protocol::Memcached, "nested") => probe.knows_nested_keys() == (value == "on"),
            _ => false,
        };
        if !is_so {
            missing.push(format!("{name}={value}"));
        }
    }
    if missing.is_empty() {
        return None;
    }
    let (missing, name) = (missing.join(" "), &transcript.name);
    Some(format!(
        "needs a server with {missing}; if yours is, ask for it by --only {name}"
    ))
}
