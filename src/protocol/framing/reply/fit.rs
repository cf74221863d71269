//! Whether a reply fits a request: if it doesn't, the connection is out of step.
//!
//! memcached names the key in some replies, and each of its commands has few answers. A reply of Redis doesn't name the
//! key, so its type is compared, and the number of its elements if the command determines it.
//!
//! Cost: each reply reads the first words of the request, and each value its key. An empty request fits every reply.

use memchr::memchr;

/// The words of a line, up to its end: a line feed, and a carriage return before it or none.
fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let end = memchr(b'\n', line).unwrap_or(line.len());
    let line = line[..end].strip_suffix(b"\r").unwrap_or(&line[..end]);
    let words = line.split(|byte| *byte == b' ');
    words.filter(|word| !word.is_empty())
}

/// Whether a `get` or a similar command has this key behind its first `seen` keys. Values come in the order of the
/// keys.
pub(super) fn has_key(request: &[u8], seen: &mut usize, key: &[u8]) -> bool {
    if request.is_empty() {
        return true;
    }
    // `gat` and `gats` have an expiry time before the keys.
    let first = if request.starts_with(b"gat") { 2 } else { 1 };
    let mut keys = words(request).skip(first + *seen);
    match keys.position(|asked| asked == key) {
        Some(passed) => {
            *seen += passed + 1;
            true
        }
        None => false,
    }
}

/// Whether a line that begins with this word answers a memcached command whose reply is one line.
pub(super) fn is_line_of(request: &[u8], word: &[u8]) -> bool {
    let answers: &[&[u8]] = match words(request).next().unwrap_or_default() {
        b"set" | b"add" | b"replace" | b"append" | b"prepend" | b"cas" => {
            &[b"STORED", b"NOT_STORED", b"EXISTS", b"NOT_FOUND"]
        }
        b"delete" => &[b"DELETED", b"NOT_FOUND"],
        b"touch" => &[b"TOUCHED", b"NOT_FOUND"],
        b"incr" | b"decr" => return word == b"NOT_FOUND" || word[0].is_ascii_digit(),
        b"flush_all" | b"verbosity" => &[b"OK"],
        b"version" => &[b"VERSION"],
        _ => return true,
    };
    answers.contains(&word)
}

/// Whether a line answers a meta command: the key and the opaque that it returns are those of the request.
pub(super) fn is_meta_of(request: &[u8], line: &[u8]) -> bool {
    let mut asked = words(request).skip(1);
    let Some(key) = asked.next() else {
        return true;
    };
    // A base64 key may be returned in a different spelling.
    let is_binary = asked.any(|flag| flag == b"b");
    let skipped = if line.starts_with(b"VA ") { 2 } else { 1 };
    words(line).skip(skipped).all(|flag| match flag[0] {
        b'k' if !line.starts_with(b"ME ") => is_binary || flag[1..] == *key,
        b'O' if !line.starts_with(b"ME ") => words(request).any(|asked| asked == flag),
        _ => true,
    })
}

/// Whether a reply of RESP that begins with this type, and has this many elements if it is an array, answers a
/// request, which is an array of bulk strings. An error answers every request.
pub(crate) fn is_resp_of(request: &[u8], kind: u8, elements: Option<u64>) -> bool {
    let Some((count, name)) = name(request) else {
        return true;
    };
    let mut lower = [0; 16];
    let Some(lower) = lower.get_mut(..name.len()) else {
        return true;
    };
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    let (kinds, expected): (&[u8], Option<u64>) = match &*lower {
        b"get" | b"getdel" | b"getex" | b"getset" | b"getrange" | b"substr" | b"hget"
        | b"lindex" | b"echo" | b"dump" => (b"$_", None),
        b"set" => (b"+$_", None),
        b"setex" | b"psetex" | b"mset" | b"hmset" | b"rename" | b"ltrim" | b"lset" | b"type" => {
            (b"+", None)
        }
        b"incr" | b"decr" | b"incrby" | b"decrby" | b"append" | b"strlen" | b"setrange"
        | b"setnx" | b"msetnx" | b"del" | b"unlink" | b"exists" | b"touch" | b"expire"
        | b"pexpire" | b"expireat" | b"pexpireat" | b"persist" | b"ttl" | b"pttl" | b"hset"
        | b"hsetnx" | b"hdel" | b"hlen" | b"hexists" | b"hincrby" | b"hstrlen" | b"lpush"
        | b"rpush" | b"lpushx" | b"rpushx" | b"llen" | b"lrem" | b"linsert" | b"sadd" | b"srem"
        | b"scard" | b"sismember" | b"zcard" | b"zrem" | b"zcount" | b"bitcount" | b"setbit"
        | b"getbit" | b"renamenx" | b"publish" => (b":", None),
        b"mget" => (b"*", Some(count - 1)),
        b"hmget" => (b"*", count.checked_sub(2)),
        b"lrange" | b"hkeys" | b"hvals" | b"keys" => (b"*", None),
        b"smembers" => (b"*~", None),
        b"hgetall" => (b"*%", None),
        _ => return true,
    };
    let is_error = matches!(kind, b'-' | b'!');
    let fits = kinds.contains(&kind) && elements.is_none_or(|n| expected.is_none_or(|e| e == n));
    is_error || fits
}

/// The number of a request's words, and the first of them.
fn name(request: &[u8]) -> Option<(u64, &[u8])> {
    let rest = request.strip_prefix(b"*")?;
    let (count, rest) = number(rest)?;
    let (length, rest) = number(rest.strip_prefix(b"$")?)?;
    Some((count, rest.get(..length as usize)?)).filter(|(count, _)| *count > 0)
}

/// A number with the end of its line, and the bytes behind it.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let end = memchr(b'\r', bytes).filter(|end| *end <= 10)?;
    let digits = bytes[..end].iter();
    let number = digits.fold(0, |number, digit| {
        number * 10 + u64::from(digit.wrapping_sub(b'0'))
    });
    Some((number, bytes.get(end + 2..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_fits_the_keys_that_were_asked_for_in_their_order() {
        for (request, keys, fits) in [
            (&b"get a\r\n"[..], &["a"][..], true),
            (b"get a\r\n", &["b"], false),
            (b"get a\r\n", &["a", "a"], false),
            (b"gets  a b  c\r\n", &["a", "c"], true),
            (b"get a b c\r\n", &["c", "a"], false),
            (b"get a a\r\n", &["a", "a"], true),
            (b"gat 10 a b\r\n", &["b"], true),
            (b"gat 10 a b\r\n", &["10"], false),
            (b"", &["a"], true),
        ] {
            let mut seen = 0;
            let all = keys
                .iter()
                .all(|key| has_key(request, &mut seen, key.as_bytes()));
            assert_eq!(all, fits, "{} {keys:?}", request.escape_ascii());
        }
    }

    #[test]
    fn a_line_fits_the_command_that_it_can_answer() {
        for (request, line, fits) in [
            (&b"set a 0 0 1\r\n1\r\n"[..], &b"STORED"[..], true),
            (b"set a 0 0 1\r\n1\r\n", b"DELETED", false),
            (b"set a 0 0 1\r\n1\r\n", b"7", false),
            (b"delete a\r\n", b"NOT_FOUND", true),
            (b"incr a 1\r\n", b"7", true),
            (b"incr a 1\r\n", b"OK", false),
            (b"flush_all\r\n", b"OK", true),
            (b"lru_crawler enable\r\n", b"OK", true),
        ] {
            assert_eq!(
                is_line_of(request, line),
                fits,
                "{}",
                request.escape_ascii()
            );
        }
        for (request, line, fits) in [
            (&b"mg a k v\r\n"[..], &b"VA 1 ka"[..], true),
            (b"mg a k v\r\n", b"VA 1 kb", false),
            (b"mg a k v O1\r\n", b"VA 1 ka O2", false),
            (b"mg a k O1\r\n", b"HD ka O1", true),
            (b"mg a k\r\n", b"EN", true),
            (b"mg Zm9vYh== b k\r\n", b"HD kZm9vYg== b", true),
            (b"me a\r\n", b"ME b exp=-1", true),
        ] {
            assert_eq!(
                is_meta_of(request, line),
                fits,
                "{}",
                request.escape_ascii()
            );
        }
    }

    #[test]
    fn a_reply_of_redis_fits_by_type_and_number_of_elements() {
        for (words, kind, elements, fits) in [
            ("*2\r\n$3\r\nGET\r\n$1\r\na\r\n", b'$', None, true),
            ("*2\r\n$3\r\nget\r\n$1\r\na\r\n", b'_', None, true),
            ("*2\r\n$3\r\nGET\r\n$1\r\na\r\n", b':', None, false),
            ("*2\r\n$3\r\nGET\r\n$1\r\na\r\n", b'-', None, true),
            (
                "*3\r\n$4\r\nMGET\r\n$1\r\na\r\n$1\r\nb\r\n",
                b'*',
                Some(2),
                true,
            ),
            (
                "*3\r\n$4\r\nMGET\r\n$1\r\na\r\n$1\r\nb\r\n",
                b'*',
                Some(3),
                false,
            ),
            ("*2\r\n$7\r\nUNKNOWN\r\n$1\r\na\r\n", b':', None, true),
            ("", b':', None, true),
        ] {
            assert_eq!(
                is_resp_of(words.as_bytes(), kind, elements),
                fits,
                "{words:?}"
            );
        }
    }

    #[test]
    fn the_last_key_of_a_line_that_ends_with_a_bare_line_feed_is_found() {
        for request in [&b"get a b\n"[..], b"get a b\r\n", b"gat 0 a b\n"] {
            let mut seen = 0;
            assert!(has_key(request, &mut seen, b"a") && has_key(request, &mut seen, b"b"));
            assert!(!has_key(request, &mut seen, b"b"));
        }
        assert!(is_meta_of(b"mg a k O7\n", b"HD ka O7\r\n"));
        assert!(!is_meta_of(b"mg a k O7\n", b"HD kb O7\r\n"));
        // A carriage return elsewhere is a byte of the key.
        assert!(has_key(b"get a\rb\r\n", &mut 0, b"a\rb"));
    }
}
