//! The manual pages and the completions, which packages install.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use super::run::Place;
use crate::support::{find, skip};

/// All pages, by their names, in a directory that `place` has.
fn pages(place: &Place) -> BTreeSet<String> {
    let printed = place.run(&["man", "pages/1"]);
    assert_eq!(printed.code, Some(0), "{}", printed.err);
    let files = fs::read_dir(place.path("pages/1")).expect("it was made");
    let name = |file: fs::DirEntry| file.file_name().into_string().expect("text");
    files.map(|file| name(file.expect("readable"))).collect()
}

#[test]
fn larder_and_each_of_its_commands_has_a_page() {
    let place = Place::new();
    let pages = pages(&place);
    let help = place.run(&["--help"]).out;
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands: Vec<&str> = commands
        .take_while(|line| !line.is_empty())
        // Deeper lines continue a command's text.
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !name.is_empty() && *name != "help")
        .collect();
    assert!(commands.contains(&"proxy"), "{help}");
    for command in commands.into_iter().chain(["get", "decr", "man"]) {
        let page = format!("larder-{command}.1");
        assert!(pages.contains(&page), "{command}: {pages:?}");
        let text = place.read(&format!("pages/1/{page}")).replace('\\', "");
        let options = place.run(&[command, "--help"]).out;
        let options = options.split([' ', ',', '\n', '=']);
        for option in options.filter(|word| word.starts_with("--") && word.len() > 2) {
            let option = option.trim_end_matches(|c: char| !c.is_alphanumeric());
            assert!(text.contains(option), "{page} has no {option}");
        }
    }
    let main = place.read("pages/1/larder.1");
    for part in [
        "--memory",
        "larder-proxy(1)",
        "/etc/larder/larder.toml",
        "HUP",
    ] {
        assert!(main.replace('\\', "").contains(part), "{part}: {main}");
    }
}

#[test]
fn the_pages_are_well_formed() {
    let Some(mandoc) = find("mandoc") else {
        skip!("mandoc is not installed, so the manual pages were not checked");
    };
    let place = Place::new();
    for page in pages(&place) {
        let path = place.path("pages/1").join(&page);
        let lint = Command::new(&mandoc)
            .args(["-Tlint", "-Wwarning"])
            .arg(&path)
            .output();
        let complaints = String::from_utf8(lint.expect("it runs").stdout).expect("text");
        let complaints: Vec<&str> = complaints
            .lines()
            .filter(|line| !line.contains("missing date"))
            .collect();
        assert!(complaints.is_empty(), "{page}: {complaints:#?}");
    }
}

#[test]
fn the_help_does_not_list_the_commands_for_packages() {
    let help = Place::new().run(&["--help"]).out;
    let words: Vec<&str> = help
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(
        !words.contains(&"man") && !words.contains(&"completions"),
        "{help}"
    );
}

#[test]
fn bash_completes_commands_and_options() {
    let place = Place::new();
    let script = place.run(&["completions", "bash"]).out;
    let complete = |words: &[&str]| {
        let last = words.len() - 1;
        let array = words.join(" ");
        let ask = format!(
            "{script}\nCOMP_WORDS=({array}); COMP_CWORD={last}; \
             _larder larder \"{}\" \"{}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
            words[last],
            words[last - 1]
        );
        let mut bash = Command::new("bash")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash is everywhere");
        let mut input = bash.stdin.take().expect("piped");
        input.write_all(ask.as_bytes()).expect("it reads");
        drop(input);
        let out = bash.wait_with_output().expect("it ends").stdout;
        let out = String::from_utf8(out).expect("text");
        out.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(complete(&["larder", "inval"]), ["invalidate"]);
    assert_eq!(complete(&["larder", "proxy", "--upstream-tls-c"]).len(), 2);
    assert_eq!(complete(&["larder", "serve", "--model", "th"]), ["threads"]);
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        let script = place.run(&["completions", shell]).out;
        assert!(script.contains("invalidate"), "{shell}: {script}");
    }
}

/// The lines to complete, and the completed line that each shell shows.
const COMPLETED: [(&str, &str); 3] = [
    ("larder inval", "larder invalidate"),
    ("larder serve --max-c", "larder serve --max-connections"),
    ("larder serve --model th", "larder serve --model threads"),
];

#[test]
fn fish_completes_commands_options_and_values() {
    let Some(fish) = find("fish") else {
        skip!("fish is not installed, so its completions were not tried");
    };
    let place = Place::new();
    place.write("larder.fish", &place.run(&["completions", "fish"]).out);
    for (typed, line) in COMPLETED {
        let ask = format!("source larder.fish; complete -C '{typed}'");
        let output = Command::new(&fish)
            .args(["--no-config", "-c", &ask])
            .current_dir(place.path(""))
            .output();
        let out = String::from_utf8(output.expect("it runs").stdout).expect("text");
        let word = line.rsplit(' ').next();
        let found: Vec<_> = out.lines().map(|line| line.split('\t').next()).collect();
        assert_eq!(found, [word], "{typed}");
    }
}

/// A shell in a pseudo-terminal of zsh's own: a key shows the line that the completion has made.
const ZSH: &str = r#"
zmodload zsh/zpty
zpty shell "PS1= zsh -f -i"
zpty -w shell 'fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -D; bindkey "^I" complete-word'
zpty -w shell 'show() { print -r -- "<$BUFFER>" }; zle -N show; bindkey "^X" show; print READ""Y'
zpty -r -m shell out '*READY*'
zpty -n -w shell "$1"$'\t\x18'
zpty -r -m shell out '*<*>*'
print -r -- "$out"
zpty -d shell
"#;

#[test]
fn zsh_completes_commands_options_and_values() {
    let Some(zsh) = find("zsh") else {
        skip!("zsh is not installed, so its completions were not tried");
    };
    let place = Place::new();
    place.write("_larder", &place.run(&["completions", "zsh"]).out);
    for (typed, line) in COMPLETED {
        let output = Command::new(&zsh)
            .args(["-f", "-c", ZSH, "zsh", typed])
            .env("TERM", "dumb")
            .current_dir(place.path(""))
            .output();
        let out = String::from_utf8(output.expect("it runs").stdout).expect("text");
        let shown = out
            .split('<')
            .nth(1)
            .and_then(|rest| rest.split('>').next());
        assert_eq!(
            shown.map(|shown| shown.trim_end_matches([' ', '='])),
            Some(line),
            "{out}"
        );
    }
}
