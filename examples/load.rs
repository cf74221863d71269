//! A small load for the book's measurements: one thread for each connection, request and reply
//! by turns.
//!
//! - `load ADDR CONNECTIONS SECONDS REQUEST [BYTES]` sends REQUEST (with `\r`, `\n` and `\xNN` as escapes) again
//!   and again, and prints requests a second and the time of the slowest. `{}` in REQUEST is another
//!   number of nine digits every time. BYTES is the length of each reply; without it, a first
//!   connection measures it. All connections stay until the last is done.
//! - `load ADDR reconnect SECONDS` connects, sends one line, reads it back and disconnects, again and
//!   again, and prints the number of times in a second.
//! - `load ADDR idle CONNECTIONS PID` opens connections that send one line and then nothing, and
//!   prints the threads and the resident memory of process PID before and after (from /proc, so on
//!   Linux).

use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

/// The placeholder of a number: as many bytes as the number has.
const NUMBER: &[u8] = b"{number:}";

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        [address, "idle", connections, process] => idle(address, connections, process),
        [address, "reconnect", seconds] => reconnect(address, seconds),
        [address, connections, seconds, request] => {
            busy(address, connections, seconds, request, None)
        }
        [address, connections, seconds, request, bytes] => {
            busy(address, connections, seconds, request, Some(bytes))
        }
        _ => Err("give ADDR CONNECTIONS SECONDS REQUEST [BYTES], ADDR reconnect SECONDS, or ADDR idle CONNECTIONS PID".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn busy(
    address: &str,
    connections: &str,
    seconds: &str,
    request: &str,
    reply: Option<&str>,
) -> Result<()> {
    let (connections, seconds): (usize, u64) = (connections.parse()?, seconds.parse()?);
    let request = unescaped(&request.replace("{}", "{number:}"))?;
    let reply = match reply {
        Some(bytes) => bytes.parse()?,
        None => reply_length(address, &request)?,
    };
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut workers = Vec::new();
    for number in 0..connections {
        let (address, request) = (address.to_owned(), request.clone());
        workers.push(thread::spawn(move || {
            // Enough for each connection to have its own numbers.
            let numbers = number as u64 * 10_000_000..;
            exchange(&address, &request, numbers, reply, until)
        }));
    }
    let (mut times, mut streams) = (Vec::new(), Vec::new());
    for worker in workers {
        let (taken, stream) = worker.join().map_err(|_| "a worker panicked")??;
        times.extend(taken);
        streams.push(stream);
    }
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 1000];
    println!(
        "{connections} connections: {} requests/s, half within {:?}, 99.9% within {:?}",
        times.len() as u64 / seconds,
        at(500),
        at(999),
    );
    Ok(())
}

/// The bytes of a text with the escapes `\r`, `\n` and `\xNN`.
fn unescaped(text: &str) -> Result<Vec<u8>> {
    let mut parts = text.split('\\');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (byte, rest) = match part.split_at_checked(1) {
            Some(("r", rest)) => (b'\r', rest),
            Some(("n", rest)) => (b'\n', rest),
            Some(("x", rest)) => {
                let (digits, rest) = rest.split_at_checked(2).ok_or("\\x has two digits")?;
                (u8::from_str_radix(digits, 16)?, rest)
            }
            _ => return Err("an escape is \\r, \\n or \\xNN".into()),
        };
        bytes.push(byte);
        bytes.extend_from_slice(rest.as_bytes());
    }
    Ok(bytes)
}

/// Requests and replies by turns, each timed; and the connection, still open.
fn exchange(
    address: &str,
    request: &[u8],
    mut numbers: impl Iterator<Item = u64>,
    reply: usize,
    until: Instant,
) -> Result<(Vec<Duration>, TcpStream)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; reply];
    let mut times = Vec::new();
    let mut request = request.to_vec();
    let number_at = request.windows(9).position(|part| part == NUMBER);
    while Instant::now() < until {
        if let (Some(at), Some(number)) = (number_at, numbers.next()) {
            request[at..at + 9].copy_from_slice(format!("{number:09}").as_bytes());
        }
        let sent = Instant::now();
        stream.write_all(&request)?;
        stream.read_exact(&mut buffer)?;
        times.push(sent.elapsed());
    }
    if times.is_empty() {
        return Err("no request was answered in time".into());
    }
    Ok((times, stream))
}

/// The number of bytes of an answer: all that arrive until the server is silent for a while.
fn reply_length(address: &str, request: &[u8]) -> Result<usize> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(request)?;
    stream.set_read_timeout(Some(Duration::from_millis(500)))?;
    let mut length = 0;
    let mut buffer = [0; 65536];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error.into()),
        }
    }
    if length == 0 {
        return Err("the server does not answer this request".into());
    }
    Ok(length)
}

fn reconnect(address: &str, seconds: &str) -> Result<()> {
    let seconds: u64 = seconds.parse()?;
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut times = 0;
    while Instant::now() < until {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"hello\r\n")?;
        stream.read_exact(&mut [0; 7])?;
        times += 1;
    }
    println!("one after another: {} connections/s", times / seconds);
    Ok(())
}

fn idle(address: &str, connections: &str, process: &str) -> Result<()> {
    let connections: usize = connections.parse()?;
    let (threads, memory) = status(process)?;
    println!("before: {threads} threads, {memory} KiB resident");
    let mut open = Vec::new();
    for _ in 0..connections {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"hello\r\n")?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.read_exact(&mut [0; 7])?;
        open.push(stream);
    }
    let (more_threads, more_memory) = status(process)?;
    println!(
        "with {connections} idle connections: {more_threads} threads, {more_memory} KiB resident"
    );
    println!(
        "each: {:.2} KiB",
        (more_memory as f64 - memory as f64) / connections as f64
    );
    drop(open);
    Ok(())
}

/// Threads and resident KiB of a process.
fn status(process: &str) -> Result<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let field = |name: &str| -> Result<u64> {
        let line = status
            .lines()
            .find(|line| line.starts_with(name))
            .ok_or("no such field")?;
        Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse()?)
    };
    Ok((field("Threads:")?, field("VmRSS:")?))
}
