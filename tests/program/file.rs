//! larder.toml: its precedence, its errors, and the file of `larder config`, which gives the same settings again.

use super::run::{FREE, Place};

/// The value of a setting in the output of `larder config`.
#[track_caller]
fn setting<'a>(printed: &'a str, name: &str) -> &'a str {
    let start = format!("{name} = ");
    let line = printed.lines().find_map(|line| line.strip_prefix(&start));
    line.unwrap_or_else(|| panic!("no {name} in\n{printed}"))
}

#[test]
fn without_a_file_and_flags_the_defaults_are_in_force() {
    let printed = Place::new().run(&["config"]);
    assert_eq!((printed.code, printed.err.as_str()), (Some(0), ""));
    for (name, value) in [
        ("memcached", "\"127.0.0.1:11211\""),
        ("resp", "\"127.0.0.1:6379\""),
        ("memory", "\"64MiB\""),
        ("when-full", "\"evict\""),
        ("max-item-size", "\"1MiB\""),
        ("max-reply-memory", "\"64MiB\""),
        ("nested", "\"on\""),
        ("memcached-protocol", "\"auto\""),
        ("flush-all", "\"on\""),
        ("watch", "\"on\""),
        ("shutdown-command", "\"off\""),
        ("model", "\"turns\""),
        ("max-connections", "1024"),
        ("backlog", "1024"),
        ("idle-timeout", "0"),
        ("level", "\"info\""),
    ] {
        assert_eq!(setting(&printed.out, name), value, "{name}");
    }
}

#[test]
fn a_flag_overrides_the_file_and_the_file_overrides_the_default() {
    let place = Place::new();
    place.write(
        "larder.toml",
        "[serve]\nmemory = \"32MiB\"\nidle-timeout = 7\nworkers = 3\n[log]\nlevel = \"warn\"\n",
    );
    let printed = place.run(&["config", "--memory", "16MiB", "--model", "threads", "-v"]);
    for (name, value) in [
        ("memory", "\"16MiB\""),     // flag over file
        ("model", "\"threads\""),    // flag over default
        ("idle-timeout", "7"),       // file over default
        ("workers", "3"),            // file over the model's default
        ("max-connections", "1024"), // default
        ("level", "\"debug\""),      // -v over the file
    ] {
        assert_eq!(setting(&printed.out, name), value, "{name}");
    }

    let larder = place.serve(&FREE, 2);
    assert_eq!(larder.memcached().stat("limit_maxbytes"), 32 << 20);
    let larder = place.serve(&[&FREE[..], &["--memory", "16MiB"]].concat(), 2);
    assert_eq!(larder.memcached().stat("limit_maxbytes"), 16 << 20);
}

#[test]
fn config_reads_a_file_with_another_name() {
    let place = Place::new();
    place.write("larder.toml", "this is not read");
    place.write("other.toml", "[serve]\nmemory = \"8MiB\"\n");
    let printed = place.run(&["config", "--config", "other.toml"]);
    assert_eq!(setting(&printed.out, "memory"), "\"8MiB\"");
}

#[test]
fn the_output_of_config_gives_the_same_settings() {
    let place = Place::new();
    for arguments in [
        &["config"][..],
        &[
            "config",
            "--memcached",
            "off",
            "--resp",
            "./r.sock",
            "--unix",
            "./m \"quoted\".sock",
            "--memory",
            "5000000",
            "--max-item-size",
            "2KiB",
            "--max-reply-memory",
            "3MiB",
            "--nested",
            "off",
            "--model",
            "threads",
            "--workers",
            "9",
            "--max-connections",
            "77",
            "--idle-timeout",
            "5",
            "--password-file",
            "secret",
            "--log-dir",
            "logs",
            "-qq",
        ],
    ] {
        let first = place.run(arguments);
        assert_eq!(first.code, Some(0), "{first:?}");
        place.write("saved.toml", &first.out);
        let again = place.run(&["config", "--config", "saved.toml"]);
        assert_eq!((again.code, again.out), (Some(0), first.out));
    }
}

#[test]
fn a_mistake_names_the_file_the_line_and_the_allowed_values() {
    let place = Place::new();
    for (text, line, allowed) in [
        ("[serve]\nmemry = \"1GiB\"\n", "line 2", "`memory`"),
        ("[serv]\n", "line 1", "`serve`"),
        ("[serve]\n\nmemory = \"lots\"\n", "line 3", "64MiB"),
        ("[serve]\nresp = 6379\n", "line 2", "127.0.0.1:11211"),
        ("[serve]\nworkers = 0\n", "line 2", "from 1 to 4096"),
        ("[serve]\nmax-connections = 0\n", "line 2", "from 1"),
        (
            "[serve]\nmodel = \"async\"\n",
            "line 2",
            "neither turns nor threads",
        ),
        (
            "[serve]\nnested = \"maybe\"\n",
            "line 2",
            "neither on nor off",
        ),
        ("[serve]\nidle-timeout = -1\n", "line 2", "0 (off)"),
        ("[log]\nlevel = \"loud\"\n", "line 2", "debug"),
        ("[serve\n", "line 1", "`]`"),
        (
            "[serve]\nmemory = \"1MiB\"\nmemory = \"2MiB\"\n",
            "line 3",
            "duplicate",
        ),
        // Two values that don't go together have no one line.
        (
            "[serve]\nmemory = \"1MiB\"\n",
            "larder.toml",
            "at most half",
        ),
        (
            "[serve]\nmax-item-size = \"4MiB\"\nmax-reply-memory = \"7MiB\"\n",
            "larder.toml",
            "give at least 8MiB",
        ),
    ] {
        place.write("larder.toml", text);
        for arguments in [&["config"][..], &FREE] {
            let printed = place.run(arguments);
            assert_eq!((printed.code, printed.out.as_str()), (Some(1), ""));
            let named = printed.err.starts_with("larder: larder.toml: ");
            assert!(
                named && printed.err.contains(line) && printed.err.contains(allowed),
                "{text:?} gave {}",
                printed.err
            );
        }
    }
}

#[test]
fn a_file_that_was_named_and_can_not_be_read_is_an_error() {
    let place = Place::new();
    let printed = place.run(&["--config", "missing.toml"]);
    assert_eq!(printed.code, Some(1));
    assert_eq!(
        printed.err,
        "larder: missing.toml: can't be read: No such file or directory (os error 2)\n"
    );
    place.write("large.toml", &"# nothing\n".repeat(200_000));
    let printed = place.run(&["--config", "large.toml"]);
    assert!(printed.err.contains("1048576 at most"), "{printed:?}");
}

#[test]
fn a_bad_flag_names_the_allowed_values() {
    let place = Place::new();
    for (arguments, allowed) in [
        (["--memory", "lots"], "64MiB"),
        (["--workers", "0"], "from 1 to 4096"),
        (["--max-connections", "0"], "from 1 to"),
        (["--model", "async"], "neither turns nor threads"),
        (["--resp", "6379"], "127.0.0.1:11211"),
        (["--idle-timeout", "soon"], "0 (off)"),
    ] {
        let printed = place.run(&arguments);
        assert_eq!(printed.code, Some(2), "{printed:?}");
        assert!(
            printed.err.contains(arguments[0]) && printed.err.contains(allowed),
            "{printed:?}"
        );
    }
}
