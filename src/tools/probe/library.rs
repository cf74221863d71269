//! The transcripts in the binary.

use include_dir::{Dir, DirEntry, include_dir};

use crate::tools::transcript::{ParseError, Transcript, parse};

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/tests/transcripts");

/// Every transcript of larder's tests, by name.
///
/// # Errors
/// What is wrong with the first file that can't be read. The tests read them all, so a released binary has none.
pub fn transcripts() -> Result<Vec<Transcript>, ParseError> {
    let mut found = Vec::new();
    let mut waiting = vec![&FILES];
    while let Some(directory) = waiting.pop() {
        for entry in directory.entries() {
            match entry {
                DirEntry::Dir(inner) => waiting.push(inner),
                DirEntry::File(file) => {
                    let path = file.path().to_string_lossy();
                    let Some(name) = path.strip_suffix(".txt") else {
                        continue;
                    };
                    let text = String::from_utf8_lossy(file.contents());
                    found.push(parse(name, &format!("{name}.txt"), &text)?);
                }
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}
