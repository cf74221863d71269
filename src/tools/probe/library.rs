//! The transcripts in the binary.

use crate::tools::transcript::{ParseError, Transcript, parse};

/// Name and text of each file: the package's `build.rs` makes the list.
static FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/transcripts.rs"));

/// Every transcript of larder's tests, by name.
///
/// # Errors
/// The error in the first file that can't be parsed. The tests parse them all, so a released
/// binary has none.
pub fn transcripts() -> Result<Vec<Transcript>, ParseError> {
    let read = FILES
        .iter()
        .map(|(name, text)| parse(name, &format!("{name}.txt"), text));
    let mut transcripts = read.collect::<Result<Vec<_>, _>>()?;
    transcripts.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(transcripts)
}
