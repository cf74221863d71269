//! Streams of values about as large as the largest item, from a number: `SERVER_ERROR object too large for cache`, and what
//! follows it on the connection.

use fastrand::Rng;

use super::streams::Form;
use super::support::binary::binary_request;

/// Bytes of the largest item of both servers, and memcached's option for it. It has no smaller ones without other options.
pub(crate) const LARGEST: (usize, &str) = (512 << 10, "512k");

/// Lengths of values. memcached counts up to 100 bytes of its own as a part of the item, so none is that near.
const LENGTHS: [usize; 7] = [10, 100, 5000, 300_000, 524_000, 524_289, 600_000];

/// Requests that store and read such values.
pub(crate) fn large_stream(form: Form, number: u64) -> Vec<Vec<u8>> {
    let mut random = Rng::with_seed(number);
    let count = random.usize(2..8);
    (0..count)
        .map(|_| request(form, number, &mut random))
        .collect()
}

fn request(form: Form, number: u64, random: &mut Rng) -> Vec<u8> {
    let name = random.choice(["a", "b"]).unwrap_or_default();
    let key = format!("{name}{form:?}large{number}");
    let length = random.choice(LENGTHS).unwrap_or_default();
    let value = vec![b'v'; length];
    let stores = random.u8(0..3) > 0;
    match form {
        Form::Text if stores => {
            let verbs = ["set", "set", "add", "replace", "append", "prepend"];
            let verb = random.choice(verbs).unwrap_or_default();
            let noreply = random.choice(["", "", " noreply"]).unwrap_or_default();
            let line = format!("{verb} {key} 7 0 {length}{noreply}\r\n");
            [line.as_bytes(), &value, b"\r\n"].concat()
        }
        Form::Text => format!("get {key}\r\n").into(),
        Form::Meta if stores => {
            let modes = ["", " MS", " ME", " MA", " MP", " MR"];
            let mode = random.choice(modes).unwrap_or_default();
            let flags = random.choice(["", " q", " k O7", " c"]).unwrap_or_default();
            let line = format!("ms {key} {length}{mode}{flags}\r\n");
            [line.as_bytes(), &value, b"\r\n"].concat()
        }
        Form::Meta => format!("mg {key} v s k\r\n").into(),
        Form::Binary => {
            // set add replace append prepend setq appendq
            let opcodes = [0x01, 0x01, 0x02, 0x03, 0x0e, 0x0f, 0x11, 0x19];
            let opcode = random.choice(opcodes).unwrap_or_default();
            let (opcode, value) = if stores {
                (opcode, value)
            } else {
                (0x00, Vec::new())
            };
            let has_extras = stores && ![0x0e, 0x0f, 0x19].contains(&opcode);
            let extras = if has_extras { &[0; 8][..] } else { &[] };
            binary_request(opcode, extras, key.as_bytes(), &value)
        }
    }
}
