//! Recorded requests: key traces as CSV.
//!
//! | format | columns |
//! |---|---|
//! | with a line of names | any order: `time`, `key`, `size`, `op`, `ttl`, `key_size`, `op_count`; others are ignored |
//! | Meta's (CacheLib, kvcache) | with a line of names: `op_time,key,key_size,op,op_count,size,cache_hits,ttl,…`, or `key,op,size,op_count,key_size` |
//! | Twitter's (cache-trace) | no names, seven: time, key, key size, value size, client, operation, TTL |
//! | plain | no names, five: time, key, size, op, ttl |
//!
//! A row costs its key and no other allocation. Only the current row is in memory.

use std::io::BufRead;

use super::action::Action;

/// One request of a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) action: Action,
    pub(super) key: Vec<u8>,
    /// Bytes of the value.
    pub(super) size: usize,
    /// Seconds until it expires; 0 for never.
    pub(super) ttl: u32,
    /// The number of times in a row that it is sent.
    pub(super) count: u32,
}

/// The positions of the columns.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Columns {
    key: usize,
    op: usize,
    size: usize,
    ttl: Option<usize>,
    key_size: Option<usize>,
    count: Option<usize>,
}

/// Reads a trace row by row.
pub(super) struct Trace<R> {
    input: R,
    line: String,
    number: u64,
    columns: Option<Columns>,
    /// The line that is read again: the first, if it has no names.
    again: bool,
}

/// The largest value that a row may ask for: 512 MiB, as in Redis.
const LARGEST: usize = 512 * 1024 * 1024;

impl<R: BufRead> Trace<R> {
    pub(super) fn new(input: R) -> Trace<R> {
        Trace {
            input,
            line: String::new(),
            number: 0,
            columns: None,
            again: false,
        }
    }

    /// The next row; `None` at the end.
    ///
    /// # Errors
    /// The line, and the reason why it is refused.
    pub(super) fn next(&mut self) -> Result<Option<Row>, String> {
        loop {
            if !std::mem::take(&mut self.again) {
                self.line.clear();
                self.number += 1;
                let read = self.input.read_line(&mut self.line);
                if read.map_err(|error| format!("line {}: {error}", self.number))? == 0 {
                    return Ok(None);
                }
            }
            let line = self.line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some(columns) = &self.columns else {
                let (columns, named) =
                    columns(line).map_err(|why| format!("line {}: {why}", self.number))?;
                self.columns = Some(columns);
                self.again = !named;
                continue;
            };
            let row = row(columns, line).map_err(|why| format!("line {}: {why}", self.number))?;
            return Ok(Some(row));
        }
    }
}

/// The columns, and whether this line has their names.
fn columns(line: &str) -> Result<(Columns, bool), String> {
    let names: Vec<String> = line
        .split(',')
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let find = |wanted: &[&str]| {
        names
            .iter()
            .position(|name| wanted.contains(&name.as_str()))
    };
    if let Some(key) = find(&["key", "anonymized key", "anonymized_key"]) {
        let needed = |wanted: &[&str]| {
            find(wanted).ok_or_else(|| format!("there is no column {}", wanted[0]))
        };
        let columns = Columns {
            key,
            op: needed(&["op", "operation"])?,
            size: needed(&["size", "value size", "value_size"])?,
            ttl: find(&["ttl"]),
            key_size: find(&["key_size", "key size"]),
            count: find(&["op_count"]),
        };
        return Ok((columns, true));
    }
    let columns = match names.len() {
        7 => Columns {
            key: 1,
            key_size: Some(2),
            size: 3,
            op: 5,
            ttl: Some(6),
            count: None,
        },
        5 => Columns {
            key: 1,
            key_size: None,
            size: 2,
            op: 3,
            ttl: Some(4),
            count: None,
        },
        other => {
            return Err(format!(
                "{other} columns without names; a trace has the 5 columns time,key,size,op,ttl, Twitter's 7, or a first \
                 line with names"
            ));
        }
    };
    Ok((columns, false))
}

fn row(columns: &Columns, line: &str) -> Result<Row, String> {
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    let field = |column: usize, name: &str| {
        let found = fields.get(column).filter(|field| !field.is_empty());
        found.copied().ok_or_else(|| format!("no {name}"))
    };
    let number = |column: Option<usize>, name: &str, missing: u32| match column {
        None => Ok(missing),
        Some(column) => {
            let text = field(column, name)?;
            // Times and sizes are whole numbers in some traces and decimals in others.
            match text.parse::<f64>() {
                Ok(number) if (0.0..=4e9).contains(&number) => Ok(number as u32),
                _ => Err(format!("`{text}` is not a {name}")),
            }
        }
    };
    let op = field(columns.op, "op")?;
    let action = match op.to_ascii_lowercase().as_str() {
        "get" | "gets" | "get_lease" => Action::Get,
        "set" | "add" | "replace" | "cas" | "append" | "prepend" | "incr" | "decr"
        | "set_lease" => Action::Set,
        "delete" | "del" => Action::Delete,
        _ => {
            return Err(format!(
                "`{op}` is not a known operation, such as get, set, delete or add"
            ));
        }
    };
    let size = number(Some(columns.size), "size", 0)? as usize;
    if size > LARGEST {
        return Err(format!("a value of {size} bytes is larger than {LARGEST}"));
    }
    let mut key = field(columns.key, "key")?.as_bytes().to_vec();
    let key_size = number(columns.key_size, "key_size", 0)? as usize;
    if key.len() < key_size.min(250) {
        // Traces whose keys are hashes name the size that the key had.
        key.push(b':');
        key.resize(key_size.min(250), b'0');
    }
    Ok(Row {
        action,
        key,
        size,
        ttl: number(columns.ttl, "ttl", 0)?,
        count: number(columns.count, "op_count", 1)?.max(1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Result<Vec<Row>, String> {
        let mut trace = Trace::new(text.as_bytes());
        std::iter::from_fn(|| trace.next().transpose()).collect()
    }

    fn row(action: Action, key: &str, size: usize, ttl: u32, count: u32) -> Row {
        Row {
            action,
            key: key.into(),
            size,
            ttl,
            count,
        }
    }

    #[test]
    fn the_public_formats_are_read() {
        let twitter = "0,nz:u:eeW511W3,13,117,3,get,0\n1,q,1,40,7,add,3600\n";
        let expected = [
            row(Action::Get, "nz:u:eeW511W3", 117, 0, 1),
            row(Action::Set, "q", 40, 3600, 1),
        ];
        assert_eq!(rows(twitter).expect("it is right"), expected);
        let meta = "op_time,key,key_size,op,op_count,size,cache_hits,ttl,usecase,sub_usecase\n\
                    604038471,82131353f9ddc8c6,20,GET,3,87,1,0,366387042,3003229276\n\
                    604038473,828769c1e1ce3a29,16,SET,1,65,0,7200,2777918327,655456894\n";
        let expected = [
            row(Action::Get, "82131353f9ddc8c6:000", 87, 0, 3),
            row(Action::Set, "828769c1e1ce3a29", 65, 7200, 1),
        ];
        assert_eq!(rows(meta).expect("it is right"), expected);
        let older = "key,op,size,op_count,key_size\n1668757755,DELETE,82,1,10\n";
        assert_eq!(
            rows(older).expect("it is right"),
            [row(Action::Delete, "1668757755", 82, 0, 1)]
        );
        let plain = "# time,key,size,op,ttl without names\n0.5,a,10,get,0\n\n0.7,b,0,set,5\n";
        let expected = [
            row(Action::Get, "a", 10, 0, 1),
            row(Action::Set, "b", 0, 5, 1),
        ];
        assert_eq!(rows(plain).expect("it is right"), expected);
    }

    #[test]
    fn a_wrong_line_is_named() {
        for (text, error) in [
            ("a,b\n", "line 1: 2 columns without names"),
            ("time,key,size\n", "line 1: there is no column op"),
            (
                "0,a,10,get,0\n0,a,10,jump,0\n",
                "line 2: `jump` is not a known operation",
            ),
            ("0,a,x,get,0\n", "line 1: `x` is not a size"),
            ("0,,1,get,0\n", "line 1: no key"),
            ("0,a,1,get\n0,a,1,get,0\n", "line 1: 4 columns"),
            (
                "0,a,3999999999,set,0\n",
                "line 1: a value of 3999999999 bytes",
            ),
        ] {
            let found = rows(text).expect_err("it is wrong");
            assert!(found.starts_with(error), "{found}");
        }
    }
}
