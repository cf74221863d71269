//! The lines that a file may have, and the errors for mistakes.

use super::*;

const HEADER: &str = "protocol: memcached\nshows: x\nstage: 4\nagrees: memcached 1.6\n\n";

fn read(conversation: &str) -> Result<Transcript, ParseError> {
    parse("t", "t.txt", &format!("{HEADER}{conversation}"))
}

fn mistake(conversation: &str) -> String {
    read(conversation).unwrap_err().to_string()
}

#[test]
fn a_file_is_a_header_and_exchanges() {
    let text = "# Why.\nprotocol: resp\nshows: a race\nstage: 6\nagrees: redis 7.0\n\
                options: nested=off memory=1MiB\ndelivery: as written only: it is slow\n\n\
                > WATCH a\n< +OK\n\nb> SET a 1\n# a comment is no end\nb< +OK\n@ 1500ms\n> EXEC\n<- *-1\\r\\n\n<eof\n";
    let read = parse("resp/watch", "watch.txt", text).unwrap();
    assert_eq!((read.protocol, read.stage), (Protocol::Resp, 6));
    assert_eq!(
        (read.shows.as_str(), &read.agrees),
        ("a race", &Agrees::Redis70)
    );
    assert_eq!(
        (read.option("nested"), read.option("memory")),
        (Some("off"), Some("1MiB"))
    );
    assert_eq!(read.only_as_written.as_deref(), Some("it is slow"));
    assert_eq!(read.connections, ["", "b"]);
    assert_eq!(read.exchanges().count(), 3);
    assert_eq!(
        read.advances().collect::<Vec<_>>(),
        [Duration::from_millis(1500)]
    );
    let last = read.exchanges().last().unwrap();
    assert_eq!((last.sends[0].line, last.expects.len()), (16, 2));
}

#[test]
fn an_answer_ends_the_lines_that_are_sent_together() {
    let read = read("> a\n> b\n< A\n< B\n> c\n< C\n").unwrap();
    let sizes: Vec<_> = read
        .exchanges()
        .map(|e| (e.sends.len(), e.expects.len()))
        .collect();
    assert_eq!(sizes, [(2, 2), (1, 1)]);
}

#[test]
fn a_difference_to_the_real_server_is_declared_by_line() {
    let read = read("> x\n<L A\n<R- B\n<Reof\n").unwrap();
    let expects = &read.exchanges().next().unwrap().expects;
    let larder: Vec<_> = expects.iter().map(|e| e.holds_for(Side::Larder)).collect();
    let real: Vec<_> = expects.iter().map(|e| e.holds_for(Side::Real)).collect();
    assert_eq!(
        (larder, real),
        (vec![true, false, false], vec![false, true, true])
    );
}

#[test]
fn a_mistake_names_file_and_line() {
    let error = read("> get a\n<? END\n").unwrap_err();
    assert_eq!((error.file.as_str(), error.line), ("t.txt", 7));
    assert!(
        error.to_string().starts_with("t.txt:7: a line begins with"),
        "{error}"
    );
}

#[test]
fn mistakes_in_a_conversation_are_reported() {
    for (conversation, told) in [
        ("", "no conversation"),
        (">get a\n", "a line begins with"),
        ("> get a \n", "at the end can't be seen"),
        ("> \\q\n", "is no escape"),
        (">~ a\n", "a pattern can't be sent"),
        ("<~ (\n", "not a regular expression"),
        ("> ${pid}\n", "is not known here"),
        ("@ 10\n", "a time is a number"),
        ("@ 0s\n", "a time is a number"),
        ("@ 999999999999999999d\n", "a time is a number"),
        ("> a\n<eof\n> b\n", "has closed"),
        ("> a\n<eof\n< b\n", "after eof"),
        (">eof\n> a\n", "already sent its end"),
        ("<eof x\n", "nothing can follow eof"),
        (">x 8\n", "an even number of digits"),
        (">x ....\n", "only an answer"),
        ("<x ${cas}\n", "is not known here"),
        ("<x ${now}\n", "can't be the name"),
    ] {
        let error = mistake(conversation);
        assert!(error.contains(told), "{conversation:?} gave {error:?}");
    }
}

#[test]
fn mistakes_in_a_header_are_reported() {
    for (from, to, told) in [
        ("protocol: memcached", "protocol: smtp", "protocol is"),
        (
            "protocol: memcached",
            "protocol: resp",
            "doesn't speak resp",
        ),
        ("stage: 4", "stage: four", "stage is a number"),
        ("stage: 4\n", "", "no `stage:`"),
        ("shows: x", "shows: x\nshows: y", "a second `shows:`"),
        ("shows: x", "shows:", "`name: value`"),
        ("agrees: memcached 1.6", "agrees: yes", "agrees is"),
        ("stage: 4", "stage: 4\noptions: nested", "name=value"),
        ("stage: 4", "stage: 4\ndelivery: slowly", "as written only"),
        ("stage: 4", "stage: 4\ntransport: tcp", "can only be udp"),
        (
            "stage: 4",
            "stage: 4\nauthor: x",
            "there is no header author",
        ),
    ] {
        let text = format!("{HEADER}> a\n").replace(from, to);
        let error = parse("t", "t.txt", &text).unwrap_err().to_string();
        assert!(error.contains(told), "{to:?} gave {error:?}");
    }
}
