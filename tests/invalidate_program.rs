//! `larder invalidate` as a user starts it, with kills and a full disk.

mod invalidate_support;
mod proxy_support;
mod support;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use invalidate_support::{
    Program, Witness, directory, forgotten, get, put, real, redis_get, redis_put,
};
use proxy_support::{Client, eventually, free_port, peer};

fn write(directory: &Path, name: &str, text: impl AsRef<[u8]>) {
    std::fs::write(directory.join(name), text).expect("it is written");
}

/// The program's output for `arguments`, and whether it succeeded.
fn said(directory: &Path, arguments: &[&str]) -> (bool, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_larder"))
        .current_dir(directory)
        .arg("invalidate")
        .args(arguments)
        .output()
        .expect("it runs");
    let text = [done.stdout, done.stderr].concat();
    (
        done.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

#[test]
fn without_servers_the_error_shows_the_ways() {
    let home = directory();
    let (good, text) = said(home.path(), &[]);
    assert!(!good);
    for way in ["--servers", "[[target]]"] {
        assert!(text.contains(way), "{text}");
    }
    write(
        home.path(),
        "larder.toml",
        "[invalidate]\ndurability = \"some\"\n",
    );
    let (good, text) = said(home.path(), &[]);
    assert!(
        !good && text.contains("line 2") && text.contains("fsync"),
        "{text}"
    );
    let (good, text) = said(
        home.path(),
        &[
            "--config",
            "/dev/null",
            "--inspect",
            "--listen",
            &free_port().to_string(),
        ],
    );
    assert!(!good && text.contains("--spool"), "{text}");
}

#[test]
fn pending_deletes_can_be_inspected_while_it_runs_and_afterwards() {
    let (here, down) = (Witness::start(), free_port());
    let home = directory();
    write(
        home.path(),
        "larder.toml",
        format!(
            "[[target]]\nname = \"here\"\nservers = [\"{}\"]\n[[target]]\nname = \"down\"\nservers = [\"{down}\"]\n",
            here.address
        ),
    );
    let larder = Program::start(home.path(), &[]);
    larder.client().ask("delete a\r\n", "DELETED\r\n");
    eventually("the delete", || here.received() == ["delete a"]);
    eventually("its removal", || larder.stat("pending") == 1);
    let listen = larder.memcached.to_string();
    let (good, text) = said(home.path(), &["--inspect", "--listen", &listen]);
    assert!(good, "{text}");
    for line in [
        format!(
            "here {}\n  state           up to date\n  pending         0\n",
            here.address
        ),
        format!("down {down}\n  state           down\n  pending         1\n"),
        "  delivered       1\n".to_owned(),
        "  recorded        1\n".to_owned(),
    ] {
        assert!(text.contains(&line), "{line}: {text}");
    }
    assert!(text.contains("efused"), "the last error: {text}");
    // One spool, one process.
    let (good, text) = said(home.path(), &["--listen", "127.0.0.1:0"]);
    assert!(
        !good && text.contains("another larder invalidate uses it"),
        "{text}"
    );
    // This address has no listener, and the running process holds the spool.
    let (good, text) = said(home.path(), &["--inspect", "--listen", "127.0.0.1:1"]);
    assert!(!good && text.contains("with --listen ADDR"), "{text}");
    larder.signal("-TERM");
    larder.ended();
    let (good, text) = said(home.path(), &["--inspect", "--listen", &listen]);
    assert!(good && text.starts_with("not running"), "{text}");
    assert!(
        text.contains(&format!(
            "down {down}\n  state           known\n  pending         1\n"
        )),
        "{text}"
    );
}

#[test]
fn a_hangup_reads_the_list_again() {
    let [one, two] = [(); 2].map(|()| Witness::start());
    let home = directory();
    let file = |text: String| write(home.path(), "servers.txt", text);
    file(format!("{} 1\n", one.address));
    let larder = Program::start(home.path(), &["--servers", "servers.txt"]);
    let mut client = larder.client();
    client.ask("delete a\r\n", "DELETED\r\n");
    file("nonsense\n".to_owned());
    larder.signal("-HUP");
    client.ask("delete b\r\n", "DELETED\r\n");
    eventually("the old list", || one.received().len() == 2);
    file(format!("{} 1\n", two.address));
    larder.signal("-HUP");
    eventually("the new list", || {
        client.ask("delete c\r\n", "DELETED\r\n");
        two.received().contains(&"delete c".to_owned())
    });
}

/// Acknowledged changes of a program that is killed at once, and again.
#[test]
fn a_kill_loses_nothing_that_was_answered() {
    let (Some(caches), Some(redis)) = (real("memcached", 2), real("redis-server", 1)) else {
        support::skip!("there is no memcached and redis-server to keep true");
    };
    let redis = redis[0].address;
    for durability in ["os", "fsync"] {
        let home = directory();
        write(
            home.path(),
            "larder.toml",
            format!(
                "[[target]]\nname = \"pool\"\nservers = [\"{}\", \"{}\"]\n\
                 [[target]]\nname = \"redis\"\nkind = \"redis\"\nservers = [\"{redis}\"]\nkey = \"app:{{key}}\"\n",
                caches[0].address, caches[1].address
            ),
        );
        let arguments = ["--durability", durability, "--timeout", "1"];
        for round in 0..6 {
            let key = |client: usize, number: usize| format!("k{round}:{client}:{number}");
            for client in 0..4 {
                for number in 0..300 {
                    let key = key(client, number);
                    caches
                        .iter()
                        .for_each(|cache| put(cache.address, &key, "old"));
                    redis_put(redis, &format!("app:{key}"), "old");
                }
            }
            // One is down while it is killed, and one is frozen in some of the rounds.
            let frozen = &caches[round % 2];
            frozen.signal("-STOP");
            let mut larder = Program::start(home.path(), &arguments);
            let answered: Vec<(usize, usize)> = std::thread::scope(|threads| {
                let clients: Vec<_> = (0..4)
                    .map(|client| {
                        let mut connection = larder.client();
                        threads.spawn(move || {
                            let mut count = 0;
                            let mut answer = [0; 9];
                            for number in 0..300 {
                                let request = format!("delete {}\r\n", key(client, number));
                                if std::io::Write::write_all(&mut connection.0, request.as_bytes())
                                    .is_err()
                                    || connection.0.read_exact(&mut answer).is_err()
                                {
                                    break;
                                }
                                assert_eq!(&answer, b"DELETED\r\n");
                                count += 1;
                            }
                            (client, count)
                        })
                    })
                    .collect();
                let enough = 100 * (round as u64 + 1);
                eventually("some to be recorded", || {
                    larder.stat("recorded") >= enough.min(800)
                });
                larder.child.kill().expect("it runs");
                larder.child.wait().expect("it has ended");
                clients
                    .into_iter()
                    .map(|client| client.join().expect("a count"))
                    .collect()
            });
            frozen.signal("-CONT");
            let total: usize = answered.iter().map(|(_, count)| count).sum();
            assert!(total > 0, "round {round}");
            let larder = Program::start(home.path(), &arguments);
            eventually("everything to be delivered", || {
                larder.stat("pending") == 0
                    && larder
                        .stats("state")
                        .iter()
                        .all(|(_, state)| state == "up to date")
            });
            let list = invalidate_support::list(&[caches[0].address, caches[1].address]);
            let ring = larder::pool::Ring::new(&list, larder::pool::Placement::Ketama);
            for (client, count) in answered {
                for number in 0..count {
                    let key = key(client, number);
                    let home = caches[ring.server(key.as_bytes())].address;
                    assert_eq!(
                        get(home, &key),
                        None,
                        "{durability}, round {round}: {key} of {count}"
                    );
                    assert_eq!(redis_get(redis, &format!("app:{key}")), None, "{key}");
                }
            }
            drop(larder);
        }
    }
}

#[test]
fn the_end_waits_for_deletes_under_way() {
    let witness = Witness::start();
    let home = directory();
    write(
        home.path(),
        "servers.txt",
        format!("{} 1\n", witness.address),
    );
    for durability in ["none", "os"] {
        witness.forget();
        let arguments = ["--servers", "servers.txt", "--durability", durability];
        let larder = Program::start(home.path(), &arguments);
        let mut client = larder.client();
        eventually("it to be there", || {
            larder.stats("state")[0].1 == "up to date"
        });
        let requests: String = (0..20_000)
            .map(|n| format!("delete k{n} noreply\r\n"))
            .collect();
        client.send(requests);
        client.ask("delete last\r\n", "DELETED\r\n");
        larder.signal("-TERM");
        client.expect_end();
        larder.ended();
        let received: HashMap<String, ()> = witness
            .received()
            .into_iter()
            .map(|received| (received, ()))
            .collect();
        assert_eq!(received.len(), 20_001, "{durability}");
    }
}

/// A file system of a few pages, until this is dropped.
struct Small(tempfile::TempDir);

impl Small {
    /// `None` if it may not be made.
    fn make(kilobytes: u32) -> Option<Small> {
        let home = directory();
        let made = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={kilobytes}k"), "tmpfs"])
            .arg(home.path())
            .stderr(Stdio::null())
            .status();
        made.is_ok_and(|made| made.success()).then_some(Small(home))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn on_a_full_disk_nothing_is_answered_that_is_not_recorded_and_it_recovers() {
    let Some(small) = Small::make(600) else {
        support::skip!("no small file system can be mounted here");
    };
    let Some(caches) = real("memcached", 1) else {
        support::skip!("there is no memcached to freeze");
    };
    let cache = caches[0].address;
    let home = directory();
    write(home.path(), "servers.txt", format!("{cache} 1\n"));
    let spool = small.0.path().join("spool");
    let spool = spool.to_str().expect("a path");
    let admin = format!("127.0.0.1:{}", support::reserved_port());
    let mut arguments = vec!["--servers", "servers.txt", "--spool", spool];
    arguments.extend(["--timeout", "1", "--admin", &admin]);
    let larder = Program::start(home.path(), &arguments);
    let is_healthy = || {
        let mut client = Client::connect(admin.parse().expect("an address"));
        client.send("GET /healthz HTTP/1.0\r\n\r\n");
        client.line()
    };
    assert_eq!(is_healthy(), "HTTP/1.1 200 OK");
    let mut client = larder.client();
    eventually("it to be there", || {
        larder.stats("state")[0].1 == "up to date"
    });
    caches[0].signal("-STOP");
    let mut answered = Vec::new();
    let mut refused = 0;
    for number in 0..20_000 {
        let key = format!("{number}:{}", "k".repeat(200));
        client.send(format!("delete {key}\r\n"));
        match client.line().as_str() {
            "DELETED" => answered.push(key),
            error => {
                assert!(
                    error.starts_with("SERVER_ERROR the spool can't be written"),
                    "{error}"
                );
                refused += 1;
                if refused > 50 {
                    break;
                }
            }
        }
    }
    assert!(refused > 50, "{} were recorded", answered.len());
    assert!(answered.len() > 100);
    assert!(larder.stats("spool")[0].1.contains("can't be written"));
    assert_eq!(is_healthy(), "HTTP/1.1 503 Service Unavailable");
    let made = Command::new("mount")
        .args(["-o", "remount,size=40m"])
        .arg(small.0.path())
        .status();
    assert!(made.expect("mount is there").success());
    eventually("room", || {
        client.send("delete again\r\n");
        client.line() == "DELETED"
    });
    assert_eq!(larder.stats("spool")[0].1, "ok");
    assert_eq!(is_healthy(), "HTTP/1.1 200 OK");
    caches[0].signal("-CONT");
    for key in &answered {
        put(cache, key, "old");
    }
    // The values of now are newer than the report; each delete must still be received.
    caches[0].signal("-STOP");
    caches[0].signal("-CONT");
    eventually("everything to be delivered", || larder.stat("pending") == 0);
    assert!(larder.stat("delivered") > answered.len() as u64);
}

#[test]
fn a_damaged_spool_is_kept_aside_and_every_server_is_flushed_first() {
    let witness = Witness::start();
    let home = directory();
    write(
        home.path(),
        "servers.txt",
        format!("{} 1\n", witness.address),
    );
    let arguments = ["--servers", "servers.txt"];
    let larder = Program::start(home.path(), &arguments);
    larder.client().ask("delete a\r\n", "DELETED\r\n");
    eventually("the delete", || witness.received() == ["delete a"]);
    larder.signal("-TERM");
    larder.ended();
    let file = home.path().join("larder-spool/spool.redb");
    let mut bytes = std::fs::read(&file).expect("it is there");
    let middle = bytes.len() / 2;
    bytes.truncate(middle);
    std::fs::write(&file, &bytes).expect("it is written");
    witness.forget();
    let larder = Program::start(home.path(), &arguments);
    let mut client = larder.client();
    client.ask("delete b\r\n", "DELETED\r\n");
    eventually("both", || !witness.received().is_empty());
    assert_eq!(witness.received()[0], "flush_all");
    let kept = std::fs::read_dir(home.path().join("larder-spool")).expect("it is there");
    let kept: Vec<String> = kept
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| name.contains("damaged"))
        .collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    let aside = home.path().join("larder-spool").join(&kept[0]);
    assert_eq!(std::fs::read(aside).expect("it is there"), bytes);
}

#[test]
fn a_password_is_given_to_redis_and_never_to_memcached() {
    let address = free_port();
    let Some(_redis) =
        proxy_support::Real::start_with("redis-server", address, &["--requirepass", "secret"])
    else {
        support::skip!("there is no redis-server");
    };
    let mut redis = Client::connect(address);
    redis.ask("AUTH secret\r\n", "+OK\r\n");
    redis.ask("SET a old\r\n", "+OK\r\n");
    let home = directory();
    write(home.path(), "password", "secret\n");
    let table = format!(
        "[[target]]\nname = \"redis\"\nkind = \"redis\"\nservers = [\"{address}\"]\npassword-file = \"password\"\n"
    );
    write(home.path(), "larder.toml", &table);
    redis.ask(
        "ACL SETUSER app on >secret ~* +@all -flushall\r\n",
        "+OK\r\n",
    );
    for user in ["", "user = \"app\"\n"] {
        write(home.path(), "larder.toml", format!("{table}{user}"));
        redis.ask("SET a old\r\n", "+OK\r\n");
        let larder = Program::start(home.path(), &[]);
        larder.client().ask("delete a\r\n", "DELETED\r\n");
        eventually("the delete", || {
            redis.send("EXISTS a\r\n");
            redis.line() == ":0"
        });
        // Of the users, only the one whose password it is has executed it.
        let name = if user.is_empty() { "default" } else { "app" };
        redis.send("CLIENT LIST\r\n");
        let length: usize = redis.line()[1..].parse().expect("a length");
        let mut text = vec![0; length + 2];
        redis.0.read_exact(&mut text).expect("a text");
        let text = String::from_utf8_lossy(&text).into_owned();
        let is = format!(" cmd=unlink user={name} ");
        assert!(text.contains(&is), "{is}: {text}");
    }
    write(
        home.path(),
        "larder.toml",
        table.replace("kind = \"redis\"\n", ""),
    );
    let (good, text) = said(
        home.path(),
        &["--listen", "127.0.0.1:0", "--spool", "other"],
    );
    assert!(!good && text.contains("user = "), "{text}");
    let _ = forgotten;
}

// A stop interrupts a read that has a timeout. The interruption counted as a failure of the server, which got the delete
// a second time on another connection.
#[test]
fn a_program_that_is_stopped_and_continued_waits_on_for_its_servers() {
    let deletes = Arc::new(AtomicUsize::new(0));
    let (received, answers) = (Arc::clone(&deletes), Arc::new(AtomicBool::new(false)));
    let may_answer = Arc::clone(&answers);
    let server = peer(move |stream| {
        let mut lines = BufReader::new(stream.try_clone().expect("a second handle")).lines();
        while let Some(Ok(line)) = lines.next() {
            let reply = match line.starts_with("delete ") {
                true => {
                    received.fetch_add(1, SeqCst);
                    eventually("the answer may go", || may_answer.load(SeqCst));
                    "DELETED\r\n"
                }
                false => "VERSION 1\r\n",
            };
            if (&stream).write_all(reply.as_bytes()).is_err() {
                return;
            }
        }
    });
    let home = directory();
    write(home.path(), "servers.txt", format!("{server} 1\n"));
    let larder = Program::start(
        home.path(),
        &["--servers", "servers.txt", "--timeout", "60"],
    );
    larder.client().ask("delete a\r\n", "DELETED\r\n");
    eventually("the delete", || deletes.load(SeqCst) == 1);
    let stat = format!("/proc/{}/stat", larder.child.id());
    let is_stopped = || {
        let stat = std::fs::read_to_string(&stat).expect("it runs");
        stat.contains(") T ")
    };
    for _ in 0..3 {
        larder.signal("-STOP");
        eventually("the stop", is_stopped);
        larder.signal("-CONT");
        eventually("the end of the stop", || !is_stopped());
    }
    answers.store(true, SeqCst);
    eventually("the delivery", || larder.stat("pending") == 0);
    assert_eq!(deletes.load(SeqCst), 1);
    assert_eq!(larder.stat("delivered"), 1);
}
