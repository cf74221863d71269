//! Writes: they reach the owner, and a client reads its own write on the node that it wrote to.

use crate::group::{Group, LONG, found, get, set, wait_for_value};

const OPTIONS: [&str; 4] = ["--peer-copy-ttl", LONG, "--peer-timeout", LONG];

#[test]
fn a_client_reads_its_own_writes_on_any_node_and_the_others_drop_their_copies() {
    for model in ["turns", "threads"] {
        own_writes_are_read(&Group::start(&[&OPTIONS[..], &["--model", model]].concat()));
    }
}

fn own_writes_are_read(group: &Group) {
    let mut talks = [0, 1, 2].map(|node| group.talk(node));
    for owner in 0..3 {
        let key = group.key_of(owner);
        let mut old = String::new();
        for writer in 0..3 {
            // All nodes have a copy, or remember that there is none.
            let expected = match old.is_empty() {
                true => "END\r\n".to_owned(),
                false => found(&key, &old),
            };
            talks
                .iter_mut()
                .for_each(|talk| talk.ask(get(&key), &expected));
            let value = format!("of {owner} by {writer}");
            talks[writer].ask(set(&key, &value), "STORED\r\n");
            talks[writer].ask(get(&key), &found(&key, &value));
            for talk in &mut talks {
                wait_for_value(talk, &key, Some(&value));
            }
            old = value;
        }
        let deleter = (owner + 1) % 3;
        talks[deleter].ask(format!("delete {key}\r\n"), "DELETED\r\n");
        talks[deleter].ask(get(&key), "END\r\n");
        for talk in &mut talks {
            wait_for_value(talk, &key, None);
        }
    }
}

#[test]
fn each_command_has_the_reply_of_the_owner_on_every_node() {
    for model in ["turns", "threads"] {
        commands_are_answered_by_the_owner(&Group::start(
            &[&OPTIONS[..], &["--model", model]].concat(),
        ));
    }
}

fn commands_are_answered_by_the_owner(group: &Group) {
    for owner in 0..3 {
        for asked in 0..3 {
            let key = &group.keys_of(owner, 3)[asked];
            let mut talk = group.talk(asked);
            let conversation = [
                ("replace K 0 0 1\r\nx\r\n", "NOT_STORED\r\n"),
                ("append K 0 0 1\r\nx\r\n", "NOT_STORED\r\n"),
                ("add K 3 0 2\r\n10\r\n", "STORED\r\n"),
                ("add K 3 0 2\r\n11\r\n", "NOT_STORED\r\n"),
                ("incr K 5\r\n", "15\r\n"),
                ("decr K 7\r\n", "8\r\n"),
                ("get K\r\n", "VALUE K 3 2\r\n8 \r\nEND\r\n"),
                ("prepend K 0 0 1\r\na\r\n", "STORED\r\n"),
                (
                    "incr K 1\r\n",
                    "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n",
                ),
                ("touch K 100\r\n", "TOUCHED\r\n"),
                ("gat 200 K\r\n", "VALUE K 3 3\r\na8 \r\nEND\r\n"),
                ("mg K t\r\n", "HD t200\r\n"),
                (
                    "set K 0 0 1 noreply\r\ny\r\nget K\r\n",
                    "VALUE K 0 1\r\ny\r\nEND\r\n",
                ),
                ("delete K noreply\r\nget K\r\n", "END\r\n"),
                ("delete K\r\n", "NOT_FOUND\r\n"),
                ("incr K 1\r\n", "NOT_FOUND\r\n"),
                ("touch K 1\r\n", "NOT_FOUND\r\n"),
                ("gat 1 K\r\n", "END\r\n"),
                ("set K name 0 0 1\r\nz\r\n", "NOT_STORED\r\n"),
            ];
            for (request, reply) in conversation {
                talk.ask(request.replace('K', key), &reply.replace('K', key));
            }
        }
    }
}

#[test]
fn a_cas_unique_that_one_node_gave_is_good_on_every_node() {
    let group = Group::start(&OPTIONS);
    let key = group.key_of(1);
    let (mut first, mut second) = (group.talk(0), group.talk(2));
    first.ask(set(&key, "a"), "STORED\r\n");
    let start = format!("VALUE {key} 0 1 ");
    first.say(format!("gets {key}\r\n"));
    let read = first.until_end("END\r\n");
    let unique = read
        .strip_prefix(&start)
        .and_then(|rest| rest.split("\r\n").next());
    let unique = unique.expect("a cas unique");
    let cas = format!("cas {key} 0 0 1 {unique}\r\nb\r\n");
    second.ask(&cas, "STORED\r\n");
    first.ask(&cas, "EXISTS\r\n");
    first.ask(get(&key), &found(&key, "b"));
}

#[test]
fn numbers_that_all_nodes_increment_at_once_lose_nothing() {
    const EACH: u64 = 100;
    let group = Group::start(&OPTIONS);
    let key = group.key_of(0);
    group.talk(1).ask(set(&key, "0"), "STORED\r\n");
    std::thread::scope(|scope| {
        for node in [0, 1, 2, 1, 2] {
            let mut talk = group.talk(node);
            let request = format!("incr {key} 1\r\n");
            scope.spawn(move || {
                for _ in 0..EACH {
                    talk.say(&request);
                    talk.until_end("\r\n");
                }
            });
        }
    });
    group
        .talk(2)
        .ask(format!("incr {key} 0\r\n"), &format!("{}\r\n", 5 * EACH));
}

#[test]
fn a_large_value_reaches_its_owner_and_one_over_the_limit_is_refused() {
    let group = Group::start(&OPTIONS);
    let key = group.key_of(2);
    let mut talk = group.talk(0);
    let large = "x".repeat(900_000);
    talk.ask(set(&key, &large).as_bytes(), "STORED\r\n");
    talk.ask(get(&key), &found(&key, &large));
    group.talk(2).ask(get(&key), &found(&key, &large));
    let too_large = "x".repeat(2_000_000);
    talk.ask(
        set(&key, &too_large).as_bytes(),
        "SERVER_ERROR object too large for cache\r\n",
    );
    // As in memcached, the old value is gone, too.
    wait_for_value(&mut group.talk(2), &key, None);
}

#[test]
fn flush_all_reaches_all_nodes() {
    let group = Group::start(&OPTIONS);
    let mut talks = [0, 1, 2].map(|node| group.talk(node));
    let keys = [0, 1, 2].map(|node| group.key_of(node));
    for key in &keys {
        talks[0].ask(set(key, "v"), "STORED\r\n");
    }
    talks[1].ask(
        "flush_all 10\r\n",
        "SERVER_ERROR flush_all with a delay is not possible here: a peer has the items\r\n",
    );
    talks[1].ask("flush_all\r\n", "OK\r\n");
    for key in &keys {
        for talk in &mut talks {
            talk.ask(get(key), "END\r\n");
        }
        talks[1].ask(set(key, "w"), "STORED\r\n");
        talks[1].ask(get(key), &found(key, "w"));
    }
}

#[test]
fn nested_keys_belong_to_the_owner_of_the_first_name() {
    let group = Group::start(&OPTIONS);
    let key = group.key_of(1);
    let (mut owner, mut other) = (group.talk(1), group.talk(0));
    other.ask(set(&key, "user"), "STORED\r\n");
    other.ask(format!("set {key} name 0 0 3\r\nAda\r\n"), "STORED\r\n");
    for talk in [&mut owner, &mut other] {
        talk.ask(
            format!("getn {key} name\r\n"),
            &format!("VALUE {key} name 0 3\r\nAda\r\nEND\r\n"),
        );
    }
    owner.ask(
        format!("getch {key}\r\n"),
        &format!("VALUE {key} 0 8\r\n[\"name\"]\r\nEND\r\n"),
    );
    other.ask(
        format!("getch {key}\r\n"),
        "SERVER_ERROR getch is not possible here: a peer has the items\r\n",
    );
    other.ask(format!("deln {key} name\r\n"), "DELETED\r\n");
    other.ask(format!("getn {key} name\r\n"), "END\r\n");
}
