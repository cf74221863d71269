//! The programs that the checks run: cargo builds the examples, and rustc small programs of the tests' own.
//!
//! rustc is called directly, with the libraries that cargo has just built for the examples. In a package of their own
//! the tests' programs would wait until cargo has built larder and its dependencies a second time, for 20 s and more.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use super::pages::{files_below, text_of};

/// The directory of the built programs: `target/debug`, with `examples` in it. Builds the
/// examples when they are not current, which `cargo test` has done already and `cargo test
/// --test book` has not.
pub(crate) fn programs() -> &'static Path {
    &built().directory
}

/// The result of cargo's call.
struct Built {
    directory: PathBuf,
    /// The libraries that an example can use, by the names that they have in a program.
    libraries: BTreeMap<String, PathBuf>,
}

fn built() -> &'static Built {
    static BUILT: OnceLock<Built> = OnceLock::new();
    BUILT.get_or_init(|| {
        let larder = Path::new(env!("CARGO_BIN_EXE_larder"));
        let directory = larder.parent().expect("a program lies in a directory");
        let target = directory.parent();
        let target = target.expect("and that one in the target directory");
        // The profile of tests, in which redb is optimized: with another one cargo would build the library and all
        // examples again.
        let profile = if is_release(directory) {
            "release"
        } else {
            "test"
        };
        let messages = cargo(
            &[
                "build",
                "--examples",
                "--message-format=json-render-diagnostics",
                "--profile",
                profile,
                "--target-dir",
            ],
            Some(target),
        );
        Built {
            directory: directory.to_path_buf(),
            libraries: libraries(&messages),
        }
    })
}

fn is_release(directory: &Path) -> bool {
    directory.ends_with("release")
}

/// The lines that cargo prints for programs to read.
fn cargo(arguments: &[&str], path: Option<&Path>) -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .args(path)
        .arg("--quiet")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "cargo fails: {arguments:?}");
    let lines = output.stdout.split(|&byte| byte == b'\n');
    let lines = lines.filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_slice(line).expect("cargo prints JSON"))
        .collect()
}

/// The project's library and its direct dependencies among the artifacts that cargo reports.
fn libraries(messages: &[Value]) -> BTreeMap<String, PathBuf> {
    let metadata = &cargo(&["metadata", "--format-version=1", "--offline"], None)[0];
    let resolved = &metadata["resolve"];
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let nodes = list(&resolved["nodes"]);
    let project = nodes.iter().find(|node| node["id"] == resolved["root"]);
    let project = project.expect("the project is in its own graph");
    let mut names: BTreeMap<String, String> = list(&project["deps"])
        .iter()
        .map(|dependency| (text(&dependency["pkg"]), text(&dependency["name"])))
        .collect();
    names.insert(text(&project["id"]), "larder".to_owned());
    let mut libraries = BTreeMap::new();
    for message in messages {
        let files = list(&message["filenames"]);
        let library = files.iter().map(text).find(|file| file.ends_with(".rlib"));
        if let (Some(name), Some(library)) = (names.get(&text(&message["package_id"])), library) {
            libraries.insert(name.clone(), library.into());
        }
    }
    libraries
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Writes a file, unless it is as it was: then it keeps its date.
pub(crate) fn write(file: &Path, text: &str) -> Result<(), String> {
    if text_of(file).is_ok_and(|old| old == text) {
        return Ok(());
    }
    let directory = file.parent().expect("a file is in a directory");
    fs::create_dir_all(directory)
        .and_then(|()| fs::write(file, text))
        .map_err(|error| format!("{}: {error}", file.display()))
}

/// Builds `program` in a directory from its `main.rs` and modules, with the libraries of the examples. If it is newer
/// than these files, and the libraries are still the same, there is nothing to do. Returns rustc's errors.
pub(crate) fn compile(directory: &Path) -> Result<(), String> {
    let built = built();
    let program = directory.join("program");
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()));
    rustc
        .args(["--edition=2024", "--cap-lints=allow", "--crate-type=bin"])
        .args(["-Cstrip=debuginfo", "-Ccodegen-units=1"])
        .arg("-L")
        .arg(built.directory.join("deps"))
        .arg("-o")
        .args([&program, &directory.join("main.rs")]);
    if is_release(&built.directory) {
        rustc.args(["-O", "-Clto=thin"]);
    }
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    rustc.args(flags.split_whitespace());
    let written = |file: &Path| fs::metadata(file).and_then(|file| file.modified()).ok();
    let mut dates = Vec::new();
    for (name, library) in &built.libraries {
        rustc.arg("--extern");
        rustc.arg(format!("{name}={}", library.display()));
        dates.push(written(library));
    }
    let inputs = format!("{dates:?} {rustc:?}");
    let record = directory.join("inputs");
    let sources = files_below(directory, ".rs");
    let newest = sources.iter().map(|file| written(file)).max().flatten();
    if written(&program) > newest && text_of(&record).is_ok_and(|old| old == inputs) {
        return Ok(());
    }
    let done = rustc.output().map_err(|error| format!("rustc: {error}"))?;
    match done.status.success() {
        true => write(&record, &inputs),
        false => Err(String::from_utf8_lossy(&done.stderr).into_owned()),
    }
}
