//! Differences that are right: how each is kept out of the comparison, and the transcript that shows both answers.

use std::path::Path;

/// How the streams avoid the difference, the reason, and the transcript in `tests/transcripts`, where a conversation can show
/// it.
const DECLARED: [(&str, &str, Option<&str>); 11] = [
    (
        "every flag of ms is a letter",
        "memcached 1.6.45 reads the value behind another one as a command, which 1.6.18 and larder discard",
        Some("meta/bad_flags"),
    ),
    (
        "no opaque is too long",
        "memcached makes the item of an mg with N before it refuses the opaque",
        Some("meta/opaque_of_a_new_item"),
    ),
    (
        "a value is either much smaller than the largest item, or larger than it",
        "memcached counts its own bytes as a part of the item",
        None,
    ),
    (
        "no line has a stray word",
        "memcached 1.6.45 ignores any number of them, 1.6.18 none, and larder one",
        Some("memcached/two_stray_words"),
    ),
    (
        "unknown opcodes have no body",
        "memcached discards the length of extras and key twice, so it loses the beginning of the next request",
        Some("binary/unknown_opcode_with_a_key"),
    ),
    (
        "ma has no T",
        "memcached gives the lifetime to the item that a sum with more digits has replaced",
        Some("meta/ma_touches"),
    ),
    (
        "a pipeline reads items or adds to numbers, not both",
        "behind a read whose reply is not sent yet, memcached puts the sum into a new item, without padding and never hit",
        Some("memcached/decr_behind_a_get"),
    ),
    (
        "a pipeline of the binary protocol touches items or adds to numbers, not both",
        "memcached holds the item behind a touch, too, until its reply is sent",
        Some("binary/decr_behind_a_touch"),
    ),
    (
        "the keys of get and gat are not too long",
        "memcached 1.6.45 answers such a key with an error and an empty line, and drops the replies before it",
        Some("memcached/get_with_a_bad_key"),
    ),
    (
        "ma has no q in streams",
        "memcached 1.6.18 answers an ma with q that makes the item, and 1.6.45 does not",
        Some("meta/ma_vivify"),
    ),
    (
        "conditions name a cas unique that no item has",
        "the servers number their items differently; tests/linearizable and the fuzz target memcached_model cover conditions that hold",
        Some("memcached/cas"),
    ),
];

#[test]
fn each_declared_difference_has_its_transcript() {
    let transcripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    for (how, why, transcript) in DECLARED {
        let Some(name) = transcript else { continue };
        let path = transcripts.join(name).with_extension("txt");
        assert!(path.exists(), "{how} ({why}): there is no {name}");
    }
}
