//! The states of the reader's program, built: each compiles, and those that a page runs can be started.
//!
//! The states of a chapter are the modules of one program. So rustc reads the libraries, makes the code of the standard
//! library's generic functions, and links once for up to 44 states, not once for each; it takes a quarter of the time.
//! A state is started by its name, `s06_20`, which is a link to the program of its chapter. In its files, `main` can be
//! called from outside, and paths from `crate` begin at its module. rustc doesn't make code for the other states, but it
//! checks them to the end.
//!
//! ```text
//!   book-steps/06/main.rs             its modules are the states; calls the `main` of the one by whose name it's started
//!   book-steps/06/s06_20/main.rs …    the files of a state
//!   book-steps/06/program
//!   book-steps/s06_20                 → 06/program
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;

use super::programs;

/// The reader's program after a step.
pub(crate) struct State {
    /// `s06_20`: the chapter and the step's number in it.
    pub(crate) name: String,
    /// Its files by name.
    pub(crate) files: BTreeMap<String, String>,
    /// Whether a page runs it.
    pub(crate) runs: bool,
}

/// Builds the states of one chapter below `directory`. Returns rustc's errors if one doesn't compile.
pub(crate) fn build(directory: &Path, chapter: &str, states: &[State]) -> Result<(), String> {
    let sources = directory.join(chapter);
    let failed = |error| format!("{}: {error}", sources.display());
    fs::create_dir_all(&sources).map_err(failed)?;
    // Other tests may be run at the same time, from another terminal.
    let lock = File::create(sources.join("lock")).map_err(failed)?;
    lock.lock().map_err(failed)?;
    programs::write(&sources.join("main.rs"), &program(states))?;
    for state in states {
        for (name, text) in &state.files {
            let file = sources.join(&state.name).join(name);
            programs::write(&file, &as_module(&state.name, name, text))?;
        }
        let link = directory.join(&state.name);
        if state.runs && !link.is_symlink() {
            symlink(Path::new(chapter).join("program"), link).map_err(failed)?;
        }
    }
    programs::compile(&sources)
}

/// A file of a program as that of a module.
fn as_module(state: &str, name: &str, text: &str) -> String {
    let text = text.replace("crate::", &format!("crate::{state}::"));
    match name {
        "main.rs" => text.replacen("\nfn main(", "\npub(super) fn main(", 1),
        _ => text,
    }
}

/// The program of which the states are modules.
fn program(states: &[State]) -> String {
    let each = |line: &dyn Fn(&str) -> String, of: &dyn Fn(&State) -> bool| -> String {
        let states = states.iter().filter(|state| of(state));
        states.map(|state| line(&state.name)).collect()
    };
    let modules = each(
        &|name| format!("#[path = \"{name}/main.rs\"]\nmod {name};\n"),
        &|_| true,
    );
    let checked = each(&|name| format!("    is_main({name}::main);\n"), &|_| true);
    let run = each(
        &|name| format!("        Some(\"{name}\") => {name}::main().report(),\n"),
        &|state| state.runs,
    );
    format!(
        "use std::process::{{ExitCode, Termination}};\n\
         {modules}\
         fn is_main<T: Termination>(_: fn() -> T) {{}}\n\
         fn every_state_has_one() {{\n{checked}}}\n\
         fn main() -> ExitCode {{\n    \
             let path = std::env::args().next().unwrap_or_default();\n    \
             match path.rsplit('/').next() {{\n\
         {run}        other => panic!(\"no page runs {{other:?}}\"),\n    }}\n}}\n"
    )
}

#[test]
fn a_state_that_does_not_compile_is_found_again_and_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let state = |name: &str, text: &str, runs| State {
        name: name.to_owned(),
        files: BTreeMap::from([("main.rs".to_owned(), text.to_owned())]),
        runs,
    };
    let sound = "//! A program.\nfn main() -> Result<(), u8> { Err(crate::three()) }\nfn three() -> u8 { 3 }\n";
    let mut states = [state("s01_01", sound, true), state("s01_02", sound, false)];
    for faulty in ["\nfn main() { larder::nothing(); }\n", "fn mine() {}\n"] {
        states[1] = state("s01_02", faulty, false);
        for _ in 0..2 {
            let error = build(directory.path(), "01", &states).unwrap_err();
            assert!(error.contains("s01_02"), "{error}");
        }
    }
    states[1] = state("s01_02", sound, false);
    assert_eq!(build(directory.path(), "01", &states), Ok(()));
    let output = std::process::Command::new(directory.path().join("s01_01")).output();
    let output = output.expect("the state starts");
    assert!(String::from_utf8_lossy(&output.stderr).contains("Error: 3"));
    let written = || fs::metadata(directory.path().join("01/program")).and_then(|f| f.modified());
    let before = written().expect("a program");
    assert_eq!(build(directory.path(), "01", &states), Ok(()));
    assert_eq!(written().expect("a program"), before, "it was current");
}
