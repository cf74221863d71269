//! The exercises of the book, and the check of their solutions.
//!
//! - `cargo run --example exercises` lists them.
//! - `… exercises -- 1.1` checks the starter in `examples/exercises/`, the file that you edit, and
//!   prints the first difference.
//! - `… exercises -- 1.1 solution` checks the solution.
//! - `… exercises -- 0.1 against 127.0.0.1:11211` holds a conversation that you have corrected
//!   against a real server.
//! - `… exercises -- 1.1 serve 7001` serves the starter, to be talked to by hand.
//!
//! An exercise is one function that serves one connection, or a whole listener. The conversation
//! that it must hold lies next to it.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs, thread};

use larder::tools::transcript::{
    Address, Outcome, RealTime, Remote, Run, Side, TranscriptDelivery, in_time, parse,
};

mod ch00;
mod ch01;
mod ch02;
mod ch03;
mod ch04;
mod ch05;
mod ch06;
mod ch07;
mod ch08;
mod ch09;
mod ch10;
mod ch11;
mod ch12;
mod ch13;
mod ch14;
mod ch15;
mod ch16;
mod ch17;
mod ch18;
mod ch19;

/// The kinds of exercises.
#[derive(Clone, Copy)]
enum Serve {
    /// Serves one connection until it ends; each has a thread.
    Connection(fn(&TcpStream) -> io::Result<()>),
    /// Serves all connections of a listener.
    Listener(fn(&TcpListener) -> io::Result<()>),
    /// A conversation that a real server must hold; the file with this end.
    Conversation(&'static str),
}

/// The longest wait for a reply. Some starters are silent. A solution never is, and the machine may be slow.
const STARTER: Duration = Duration::from_secs(5);
const SOLUTION: Duration = Duration::from_secs(60);

/// One exercise: its number, its files' name, its task, and its starter and solution.
struct Exercise {
    number: &'static str,
    file: &'static str,
    asks: &'static str,
    starter: Serve,
    solution: Serve,
}

/// All of them, in the order of the book.
const EXERCISES: &[&[Exercise]] = &[
    ch00::EXERCISES,
    ch01::EXERCISES,
    ch02::EXERCISES,
    ch03::EXERCISES,
    ch04::EXERCISES,
    ch05::EXERCISES,
    ch06::EXERCISES,
    ch07::EXERCISES,
    ch08::EXERCISES,
    ch09::EXERCISES,
    ch10::EXERCISES,
    ch11::EXERCISES,
    ch12::EXERCISES,
    ch13::EXERCISES,
    ch14::EXERCISES,
    ch15::EXERCISES,
    ch16::EXERCISES,
    ch17::EXERCISES,
    ch18::EXERCISES,
    ch19::EXERCISES,
];

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let Some((number, rest)) = words.split_first() else {
        for exercise in EXERCISES.iter().copied().flatten() {
            println!("{} {}", exercise.number, exercise.asks);
        }
        return ExitCode::SUCCESS;
    };
    let mut all = EXERCISES.iter().copied().flatten();
    let Some(exercise) = all.find(|exercise| exercise.number == *number) else {
        eprintln!("there is no exercise {number}: without an argument this lists them");
        return ExitCode::from(2);
    };
    let done = match rest {
        [] => check(exercise, exercise.starter, None, STARTER),
        ["solution"] => check(exercise, exercise.solution, None, SOLUTION),
        ["against", address] => check(exercise, exercise.starter, Some(address), STARTER),
        ["solution", "against", address] => {
            check(exercise, exercise.solution, Some(address), SOLUTION)
        }
        ["serve", port] => serve_at(port, exercise.starter),
        _ => {
            Err("after the number comes nothing, `solution`, `against ADDR` or `serve PORT`".into())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            println!("{problem}");
            ExitCode::FAILURE
        }
    }
}

/// Replays the exercise's conversation, in any pieces, against the exercise or against a real
/// server.
fn check(
    exercise: &Exercise,
    serve: Serve,
    address: Option<&str>,
    patience: Duration,
) -> Result<(), String> {
    let end = match serve {
        Serve::Conversation(end) => end,
        _ => "",
    };
    let shown = format!("examples/exercises/{}{end}.txt", exercise.file);
    let path = format!("{}/{shown}", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let transcript = parse(exercise.number, &shown, &text).map_err(|error| error.to_string())?;
    let address = match (serve, address) {
        (Serve::Conversation(_), Some(address)) => address.to_owned(),
        (Serve::Conversation(_), None) => return Err("give the real server: against ADDR".into()),
        _ => {
            let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
            let address = listener.local_addr().map_err(|error| error.to_string())?;
            thread::spawn(move || accept(&listener, serve));
            address.to_string()
        }
    };
    let time = RealTime {
        at_most: Duration::from_secs(2),
    };
    let target = Remote::new(Address::parse(&address), &time, patience);
    for delivery in [
        TranscriptDelivery::AsWritten,
        TranscriptDelivery::ByteByByte,
        TranscriptDelivery::InOneWrite,
    ] {
        let run = Run {
            transcript: &transcript,
            side: Side::Larder,
            delivery,
            patience,
        };
        if let Outcome::Failed(difference) = in_time(&transcript, || run.against(&target)) {
            return Err(format!(
                "{} is not solved yet\n{difference}",
                exercise.number
            ));
        }
    }
    println!("{} is solved", exercise.number);
    Ok(())
}

fn serve_at(port: &str, serve: Serve) -> Result<(), String> {
    let port: u16 = port.parse().map_err(|_| format!("{port:?} is no port"))?;
    let listener = TcpListener::bind(("127.0.0.1", port)).map_err(|error| error.to_string())?;
    println!(
        "listening on exercise {}",
        listener.local_addr().map_err(|e| e.to_string())?
    );
    accept(&listener, serve);
    Ok(())
}

fn accept(listener: &TcpListener, serve: Serve) {
    match serve {
        Serve::Conversation(_) => eprintln!("this exercise is a file and can't serve"),
        Serve::Listener(run) => {
            if let Err(error) = run(listener) {
                eprintln!("the server ended with an error: {error}");
            }
        }
        Serve::Connection(serve) => {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || {
                    if let Err(error) = serve(&stream) {
                        eprintln!("a connection ended with an error: {error}");
                    }
                });
            }
        }
    }
}
