//! Storage lines that are refused, and the values behind them.

use super::*;

/// Storage lines that are refused, and whether the refusal is silent. The length stands for `LENGTH`.
fn refused_line() -> impl Strategy<Value = (String, bool)> {
    let verb = prop::sample::select(vec!["set", "add", "replace", "append", "prepend"]);
    let long = "k".repeat(251);
    let fields = prop::sample::select(vec![
        "k 0 abc LENGTH".to_owned(),
        "k abc 0 LENGTH".to_owned(),
        "k -1 0 LENGTH".to_owned(),
        "k 0 99999999999999999999 LENGTH".to_owned(),
        format!("{long} 0 0 LENGTH"),
        "k\0x 0 0 LENGTH".to_owned(),
    ]);
    let classic = (verb, fields).prop_map(|(verb, fields)| format!("{verb} {fields}"));
    let others = prop::sample::select(vec![
        "cas k 0 0 LENGTH abc".to_owned(),
        "cas k 0 0 LENGTH +1".to_owned(),
        format!("cas {long} 0 0 LENGTH 1"),
    ]);
    let loud = prop::sample::select(vec![
        "cas k 0 0 LENGTH".to_owned(),
        "set k 0 0 LENGTH two words".to_owned(),
        "set k 0 0 LENGTH 77".to_owned(),
        "cas k 0 0 LENGTH 77 1".to_owned(),
        format!("ms {long} LENGTH"),
        "ms k LENGTH !".to_owned(),
        " ms k LENGTH".to_owned(),
        "  set k 0 0 LENGTH".to_owned(),
        "ms k\0 LENGTH".to_owned(),
        format!("ms k LENGTH{}", " k".repeat(17)),
    ]);
    prop_oneof![
        2 => classic.clone().prop_map(|line| (line, false)),
        1 => others.clone().prop_map(|line| (line, false)),
        2 => classic.prop_filter("a NUL is refused aloud", |line| !line.contains('\0'))
            .prop_map(|line| (line + " noreply", true)),
        1 => others.prop_map(|line| (line + " noreply", true)),
        1 => loud.prop_map(|line| (line, false)),
    ]
}

proptest! {
    /// The value behind a refused line is no request, in any pieces, and the line behind it is one.
    #[test]
    fn the_value_of_a_refused_line_is_discarded(
        (line, noreply) in refused_line(),
        value in "[a-z_ \r\n]{0,40}",
        size in 1usize..50,
    ) {
        let line = line.replace("LENGTH", &value.len().to_string());
        let bytes = format!("{line}\r\n{value}\r\nget after\r\n").into_bytes();
        let (mut framer, mut scratch) = (RequestFramer::memcached(), RequestBuffers::default());
        let (mut start, mut arrived, mut found) = (0, 0, Vec::new());
        while start < bytes.len() {
            arrived = (arrived + size).min(bytes.len());
            while start < arrived {
                match framer.frame(&bytes[start..arrived], &mut scratch) {
                    RequestFrame::Incomplete => break,
                    RequestFrame::Nothing(consumed) => start += consumed,
                    RequestFrame::Bad { reply, consumed, close } => {
                        prop_assert_eq!((reply.is_empty(), close), (noreply, false));
                        found.push("bad".to_owned());
                        start += consumed;
                    }
                    RequestFrame::Request(request, consumed) => {
                        found.push(request.bytes.escape_ascii().to_string());
                        start += consumed;
                    }
                    RequestFrame::Large(_) => prop_assert!(false, "nothing is large"),
                }
            }
        }
        prop_assert_eq!(found, ["bad", "get after\\r\\n"]);
    }
}
