//! Cargo's build script: lists the files of `tests/transcripts` for the library of `larder probe`.
//!
//! A list made by a macro would not notice a new file until something else is compiled; this one is
//! made again when the directory changes.

use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};

const ROOT: &str = "tests/transcripts";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={ROOT}");
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_TOOLS").is_none() {
        return Ok(());
    }
    // Cargo doesn't run this again when the checkout is moved, so the list names files as seen from its root.
    let mut list = String::from("&[\n");
    for file in files(Path::new(ROOT))? {
        let name = file.strip_prefix(ROOT)?.with_extension("");
        let (name, file) = (name.display(), format!("/{}", file.display()));
        let path = format!("concat!(env!(\"CARGO_MANIFEST_DIR\"), {file:?})");
        writeln!(list, "    (\"{name}\", include_str!({path})),")?;
    }
    list.push(']');
    let out = Path::new(&std::env::var("OUT_DIR")?).join("transcripts.rs");
    std::fs::write(out, list)?;
    Ok(())
}

/// Every `.txt` below `root`.
fn files(root: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "txt") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
