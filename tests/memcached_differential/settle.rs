//! Replies without what differs between two servers that are both right: the numbers of cas uniques, and seconds in
//! lifetimes. A cas unique becomes the position of its first appearance.

use larder::tools::transcript::readable;

use super::streams::Form;

/// A reply in which equal cas uniques are equal numbers.
pub(crate) fn settled(form: Form, reply: &[u8]) -> String {
    let mut seen = Vec::new();
    match form {
        Form::Binary => binary(reply, &mut seen),
        Form::Text | Form::Meta => lines(reply, &mut seen),
    }
}

fn position(unique: u64, seen: &mut Vec<u64>) -> String {
    let at = seen.iter().position(|known| *known == unique);
    let at = at.unwrap_or_else(|| {
        seen.push(unique);
        seen.len() - 1
    });
    format!("cas{at}")
}

fn lines(reply: &[u8], seen: &mut Vec<u64>) -> String {
    let text = String::from_utf8_lossy(reply);
    let mut out = String::new();
    for line in text.split_inclusive('\n') {
        let words: Vec<&str> = line.trim_end_matches(['\r', '\n']).split(' ').collect();
        let settled: Vec<String> = words
            .iter()
            .enumerate()
            .map(|(at, word)| match (words[0], at) {
                ("VALUE", 4) => word
                    .parse()
                    .map_or((*word).to_owned(), |unique| position(unique, seen)),
                ("VA" | "HD", 1..) => flag(word, seen),
                _ => (*word).to_owned(),
            })
            .collect();
        out.push_str(&settled.join(" "));
        out.push_str(&line[line.trim_end_matches(['\r', '\n']).len()..]);
    }
    readable(out.as_bytes())
}

/// A flag of a meta command's reply.
fn flag(word: &str, seen: &mut Vec<u64>) -> String {
    let number = word.get(1..).and_then(|rest| rest.parse::<u64>().ok());
    match (word.as_bytes().first(), number) {
        (Some(b'c'), Some(unique)) => position(unique, seen),
        // Lifetimes are thousands of seconds, so that those of two servers round to the same number on a busy machine, too.
        (Some(b't'), Some(seconds)) => format!("t{}", (seconds + 500) / 1000),
        _ => word.to_owned(),
    }
}

fn binary(mut reply: &[u8], seen: &mut Vec<u64>) -> String {
    let mut out = String::new();
    while reply.len() >= 24 {
        let (header, rest) = reply.split_at(24);
        let body = u32::from_be_bytes([header[8], header[9], header[10], header[11]]) as usize;
        let (body, rest) = rest.split_at(body.min(rest.len()));
        let unique = header[16..]
            .iter()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let unique = match unique {
            0 => "no cas".to_owned(),
            unique => position(unique, seen),
        };
        let (opcode, opaque) = (header[1], &header[12..16]);
        let status = u16::from_be_bytes([header[6], header[7]]);
        let lengths = [header[2], header[3], header[4]];
        out += &format!(
            "{opcode:#04x} {status} {opaque:?} {unique} {lengths:?} {}\n",
            body.escape_ascii()
        );
        reply = rest;
    }
    out + &reply.escape_ascii().to_string()
}
