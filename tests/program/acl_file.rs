//! The users of RESP: read from a file at the start and by ACL LOAD, written by ACL SAVE.

use super::run::{FREE, Place};

const WITH_FILE: [&str; 2] = ["--acl-file", "users.acl"];

#[test]
fn users_come_from_a_file_and_go_back_there() {
    let place = Place::new();
    place.write(
        "users.acl",
        "user default off\nuser bob on >horse ~cache:* +@read +acl\n",
    );
    let mut larder = place.serve(&[&FREE[..], &WITH_FILE].concat(), 2);
    let mut bob = larder.resp();
    bob.ask("GET cache:1\r\n", "-NOAUTH Authentication required.\r\n");
    bob.ask("AUTH bob horse\r\n", "+OK\r\n");
    bob.ask("GET cache:1\r\n", "$-1\r\n");
    bob.ask(
        "GET other\r\n",
        "-NOPERM this user has no permissions to access one of the keys used as arguments\r\n",
    );
    bob.ask("ACL SETUSER eve on >zebra +ping\r\n", "+OK\r\n");
    bob.ask("ACL SAVE\r\n", "+OK\r\n");
    let saved = place.read("users.acl");
    assert!(
        saved.contains("user eve on #") && !saved.contains("zebra"),
        "{saved}"
    );

    place.write("users.acl", &format!("{saved}nonsense\n"));
    bob.ask(
        "ACL LOAD\r\n",
        "-ERR users.acl:4 should start with user keyword followed by the username. WARNING: ACL errors detected, no \
         change to the previously active ACL rules was performed\r\n",
    );
    place.write("users.acl", &saved.replace("+ping", "+ping +dbsize"));
    bob.ask("ACL LOAD\r\n", "+OK\r\n");
    // As in Redis 7.0, clients of users other than the default one are disconnected.
    bob.closed();
    let mut eve = larder.resp();
    eve.ask("AUTH eve zebra\r\n", "+OK\r\n");
    eve.ask("DBSIZE\r\n", ":0\r\n");
    larder.signal("TERM");
    larder.logs("ended");
    let logged = larder.logged.concat();
    assert!(
        !logged.contains("horse") && !logged.contains("zebra"),
        "{logged}"
    );
}

#[test]
fn a_file_with_a_mistake_or_beside_a_password_is_an_error() {
    let place = Place::new();
    place.write("users.acl", "user bob +nope\n");
    let printed = place.run(&[&FREE[..], &WITH_FILE].concat());
    assert_eq!(printed.code, Some(1));
    let problem = "users.acl:1: Error in applying operation '+nope': Unknown command or category name in ACL. ";
    assert!(printed.err.contains(problem), "{}", printed.err);

    place.write("users.acl", "user bob\n");
    place.write("secret", "sesame\n");
    let both = [&FREE[..], &WITH_FILE, &["--password-file", "secret"]].concat();
    let printed = place.run(&both);
    assert_eq!(printed.code, Some(1));
    assert_eq!(
        printed.err,
        "larder: --acl-file users.acl: its users have the passwords; remove --password-file and LARDER_PASSWORD, or the \
         file\n"
    );
}
