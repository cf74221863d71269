use super::*;
use crate::protocol::framing::request::{RequestBuffers, RequestFrame, RequestFramer};

/// The session after these commands and replies, in a line: `database protocol name transaction watch`.
fn after(conversation: &[(&str, &str)]) -> String {
    let mut session = Session::new(true);
    for (number, (command, reply)) in conversation.iter().enumerate() {
        let line = format!("{command}\r\n");
        let mut buffers = RequestBuffers::default();
        let frame = RequestFramer::resp().frame(line.as_bytes(), &mut buffers);
        let RequestFrame::Request(request, _) = frame else {
            panic!("{command} is no request");
        };
        session.sent(number as u64, request.args());
        let elements = reply.strip_prefix('*').unwrap_or_default();
        session.confirmed(
            number as u64,
            Confirmation {
                is_error: reply.starts_with('-'),
                elements: elements.as_bytes(),
            },
        );
    }
    let transaction = match &session.transaction {
        Transaction::None => "none".to_owned(),
        Transaction::Queued(_) => "held".to_owned(),
        Transaction::Open(open) => format!("open:{}", open.queued),
    };
    format!(
        "{} {} {:?} {transaction} {}",
        session.state.database,
        if session.state.resp3 { 3 } else { 2 },
        String::from_utf8_lossy(&session.name),
        if session.watching { "watching" } else { "-" },
    )
}

#[test]
fn each_transition_happens_when_the_reply_says_so() {
    let (ok, queued, no) = ("+OK", "+QUEUED", "-ERR");
    for (conversation, expected) in [
        (&[][..], "0 2 \"\" none -"),
        (&[("SELECT 2", ok)], "2 2 \"\" none -"),
        (&[("SELECT 2", no)], "0 2 \"\" none -"),
        (&[("HELLO 3 SETNAME me", "%")], "0 3 \"me\" none -"),
        (&[("HELLO 9", no)], "0 2 \"\" none -"),
        (&[("HELLO 3", "%"), ("HELLO", "%")], "0 3 \"\" none -"),
        (&[("CLIENT SETNAME me", ok)], "0 2 \"me\" none -"),
        (&[("WATCH a", ok)], "0 2 \"\" none watching"),
        (&[("WATCH a", no)], "0 2 \"\" none -"),
        (&[("WATCH a", ok), ("UNWATCH", ok)], "0 2 \"\" none -"),
        (&[("MULTI", ok)], "0 2 \"\" open:0 -"),
        (&[("MULTI x", no)], "0 2 \"\" none -"),
        (&[("MULTI", ok), ("MULTI", no)], "0 2 \"\" open:0 -"),
        // A queued command has changed nothing yet.
        (&[("MULTI", ok), ("SELECT 2", queued)], "0 2 \"\" open:1 -"),
        (
            &[("MULTI", ok), ("GET", no), ("GET a", queued)],
            "0 2 \"\" open:1 -",
        ),
        (
            &[
                ("MULTI", ok),
                ("GET a", queued),
                ("SELECT 2", queued),
                ("EXEC", "*$+"),
            ],
            "2 2 \"\" none -",
        ),
        // Its own element is an error.
        (
            &[
                ("MULTI", ok),
                ("GET a", queued),
                ("SELECT 2", queued),
                ("EXEC", "*$-"),
            ],
            "0 2 \"\" none -",
        ),
        (
            &[
                ("MULTI", ok),
                ("SELECT 2", queued),
                ("GET", no),
                ("EXEC", no),
            ],
            "0 2 \"\" none -",
        ),
        // Null: a watched key has changed.
        (
            &[
                ("WATCH a", ok),
                ("MULTI", ok),
                ("HELLO 3", queued),
                ("EXEC", "*"),
            ],
            "0 2 \"\" none -",
        ),
        (
            &[
                ("WATCH a", ok),
                ("MULTI", ok),
                ("HELLO 3", queued),
                ("EXEC", "*%"),
            ],
            "0 3 \"\" none -",
        ),
        (
            &[
                ("WATCH a", ok),
                ("MULTI", ok),
                ("SELECT 2", queued),
                ("DISCARD", ok),
            ],
            "0 2 \"\" none -",
        ),
        (
            &[("WATCH a", ok), ("MULTI", ok), ("DISCARD x", no)],
            "0 2 \"\" open:0 watching",
        ),
        (&[("MULTI", ok), ("EXEC x", no)], "0 2 \"\" none -"),
        // A watch survives refused commands.
        (&[("WATCH a", ok), ("EXEC", no)], "0 2 \"\" none -"),
        (
            &[("WATCH a", ok), ("DISCARD", no)],
            "0 2 \"\" none watching",
        ),
    ] {
        assert_eq!(after(conversation), expected, "{conversation:?}");
    }
}
