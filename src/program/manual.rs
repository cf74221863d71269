//! `larder man` and `larder completions`: the manual pages and the completions of shells, made from the command line itself.
//!
//! Both commands are for packages and for people who have installed the binary alone, so `--help` doesn't list them. There is
//! a page for larder and one for each subcommand, as git has them. Nothing is made when larder is built.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;
use clap::{Args, Command, ValueHint};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::output::show;

/// The command line of `larder man`.
#[derive(Args)]
pub(crate) struct ManArgs {
    /// The directory for the pages; it is made if it doesn't exist
    #[arg(value_name = "DIRECTORY")]
    directory: PathBuf,
}

/// The command line of `larder completions`.
#[derive(Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Files that larder reads unless an option names others.
const FILES: [(&str, &str); 2] = [
    (
        "larder.toml",
        "The settings, in the working directory. larder config prints one with all settings and their defaults.",
    ),
    (
        "/etc/larder/larder.toml",
        "The settings of the service of systemd, in packages.",
    ),
];

/// Writes the pages of `command` and of its subcommands, also of those that its help doesn't list. The error is a sentence
/// for a person.
pub(super) fn write_pages(command: Command, args: &ManArgs) -> Result<(), String> {
    let directory = &args.directory;
    let failed = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
    std::fs::create_dir_all(directory).map_err(|error| failed(directory, error))?;
    for (name, page) in pages(command).map_err(|error| failed(directory, error))? {
        let path = directory.join(name);
        std::fs::write(&path, page).map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

/// Prints the completions of `command` for a shell.
pub(super) fn print_completions(command: Command, args: &CompletionsArgs) -> Result<(), String> {
    let mut command = with_values(command);
    let mut script = Vec::new();
    let name = command.get_name().to_owned();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    show(script)
}

/// The command with hints for the completion of values. They follow from the names of values in the help: `FILE`, or `on|off`.
fn with_values(command: Command) -> Command {
    let command = command.mut_args(|argument| {
        if !argument.get_action().takes_values() {
            return argument;
        }
        let names = argument.get_value_names().unwrap_or_default();
        let name = names.first().map(|name| name.to_string());
        match name.as_deref() {
            Some("FILE" | "PATH") => argument.value_hint(ValueHint::FilePath),
            Some("DIR" | "DIRECTORY") => argument.value_hint(ValueHint::DirPath),
            Some(name) if is_choice(name) => {
                // clap needs names that live as long as the program, and the program ends when the completions are printed.
                let name: &'static str = name.to_owned().leak();
                argument.value_parser(PossibleValuesParser::new(name.split('|')))
            }
            // Without this hint, shells complete any value as the name of a file.
            Some(_) if !argument.is_positional() => argument.value_hint(ValueHint::Other),
            _ => argument,
        }
    });
    command.mut_subcommands(with_values)
}

/// Whether the name of a value lists all values, such as `turns|threads`.
fn is_choice(name: &str) -> bool {
    name.contains('|')
        && name
            .bytes()
            .all(|byte| byte == b'|' || byte.is_ascii_lowercase())
}

/// The file name and the text of each page.
fn pages(command: Command) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut command = command
        .disable_help_subcommand(true)
        .mut_subcommands(|subcommand| subcommand.hide(false));
    command.build();
    let subcommands = command.get_subcommands().cloned();
    let all = std::iter::once(command.clone()).chain(subcommands);
    all.map(|command| {
        let name = command.get_display_name().unwrap_or(command.get_name());
        Ok((format!("{name}.1"), page(&command)?))
    })
    .collect()
}

fn page(command: &Command) -> io::Result<Vec<u8>> {
    let man = Man::new(command.clone());
    let mut page = Vec::new();
    title(command, &mut page)?;
    man.render_name_section(&mut page)?;
    synopsis(command.clone(), &mut page)?;
    man.render_description_section(&mut page)?;
    let mut options = Vec::new();
    man.render_options_section(&mut options)?;
    // Before the values of an option, clap_mangen breaks the line twice around an empty one.
    let options = String::from_utf8_lossy(&options).replace(".br\n\n.br\n", ".sp\n");
    page.extend_from_slice(options.as_bytes());
    let is_whole = command.has_subcommands();
    if is_whole {
        man.render_subcommands_section(&mut page)?;
    }
    examples(command, &mut page)?;
    if is_whole {
        files(&mut page)?;
    }
    see_also(command, &mut page)?;
    Ok(page)
}

/// The line with the page's name and larder's version. It has no date: a version has one, and this one needs no edit.
fn title(command: &Command, page: &mut impl Write) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let (name, version) = (name.to_uppercase(), env!("CARGO_PKG_VERSION"));
    writeln!(page, ".TH {name} 1 \"\" \"larder {version}\" \"larder\"")
}

/// The usage as in the help: the options have a section of their own.
fn synopsis(mut command: Command, page: &mut impl Write) -> io::Result<()> {
    let usage = command.render_usage().to_string();
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]).control("nf", []);
    for form in usage.trim_start_matches("Usage:").lines() {
        roff.text([bold(form.trim())]);
    }
    roff.control("fi", []);
    roff.to_writer(page)
}

/// The text behind the options in the help. Indented lines stay as they are, others are filled.
fn examples(command: &Command, page: &mut impl Write) -> io::Result<()> {
    let Some(text) = command.get_after_help() else {
        return Ok(());
    };
    let mut roff = Roff::new();
    roff.control("SH", ["EXAMPLES"]);
    let mut filled = true;
    for line in text.to_string().lines() {
        if line.is_empty() {
            roff.control("PP", []);
            continue;
        }
        if filled == line.starts_with(' ') {
            filled = !filled;
            roff.control(if filled { "fi" } else { "nf" }, []);
        }
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
    roff.to_writer(page)
}

fn files(page: &mut impl Write) -> io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", ["FILES"]);
    for (file, purpose) in FILES {
        roff.control("TP", [])
            .text([bold(file)])
            .text([roman(purpose)]);
    }
    roff.to_writer(page)
}

/// The page of larder names those of its subcommands in a section of their own.
fn see_also(command: &Command, page: &mut impl Write) -> io::Result<()> {
    let names: &[&str] = match command.has_subcommands() {
        true => &["memcached", "redis-server"],
        false => &["larder"],
    };
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]);
    let mut line = Vec::new();
    for (number, name) in names.iter().enumerate() {
        line.extend([
            roman(if number > 0 { ", " } else { "" }),
            bold(*name),
            roman("(1)"),
        ]);
    }
    roff.text(line);
    roff.to_writer(page)
}
