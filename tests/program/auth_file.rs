//! The users of memcached's protocol: read from a file at the start and at HUP, and never shown.

use super::run::{FREE, Larder, Place};

const WITH_FILE: [&str; 2] = ["--auth-file", "users"];
const FAILURE: &str = "CLIENT_ERROR authentication failure\r\n";

fn log_in(larder: &Larder, token: &str, reply: &str) {
    let request = format!("set x 0 0 {}\r\n{token}\r\n", token.len());
    larder.memcached().ask(request, reply);
}

#[test]
fn hup_reads_the_users_again() {
    let place = Place::new();
    place.write("users", "alice:first horse\nbob:x\n");
    let mut larder = place.serve(&[&FREE[..], &WITH_FILE].concat(), 2);
    let mut stays = larder.memcached();
    stays.ask("get k\r\n", "CLIENT_ERROR unauthenticated\r\n");
    stays.ask("set x 0 0 17\r\nalice first horse\r\n", "STORED\r\n");
    log_in(&larder, "alice second horse", FAILURE);

    place.write("users", "alice:second horse\n");
    larder.signal("HUP");
    larder.logs("reloaded");
    log_in(&larder, "alice second horse", "STORED\r\n");
    log_in(&larder, "alice first horse", FAILURE);
    log_in(&larder, "bob x", FAILURE);
    stays.ask("get k\r\n", "END\r\n");

    place.write("users", "alice:third horse\nmalformed horse\n");
    larder.signal("HUP");
    larder.logs("line 2 is not user:password");
    log_in(&larder, "alice second horse", "STORED\r\n");
    log_in(&larder, "alice third horse", FAILURE);

    larder.signal("TERM");
    larder.logs("ended");
    assert!(
        !larder.logged.concat().contains("horse"),
        "{:?}",
        larder.logged
    );
}

#[test]
fn a_file_without_users_of_this_form_is_an_error() {
    let place = Place::new();
    place.write("users", "alice:horse\nhorse\n");
    for (file, problem) in [
        ("users", "line 2 is not user:password"),
        (
            "missing",
            "can't be read: No such file or directory (os error 2)",
        ),
    ] {
        let printed = place.run(&[&FREE[..], &["--auth-file", file]].concat());
        assert_eq!(printed.code, Some(1));
        assert_eq!(
            printed.err,
            format!("larder: --auth-file {file}: {problem}\n")
        );
    }
}
