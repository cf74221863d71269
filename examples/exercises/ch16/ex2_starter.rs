//! 16.2, the starter: the mean of two medians.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let (mut a, mut b): (Vec<u64>, Vec<u64>) = (Vec::new(), Vec::new());
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let answer = match line.split_once(' ') {
            // The latencies of one of the threads.
            Some((thread, latency)) => {
                let latencies = if thread == "a" { &mut a } else { &mut b };
                latencies.extend(latency.parse::<u64>());
                latencies.sort_unstable();
                "counted".to_owned()
            }
            // The report of the load at its end.
            None => ((a[a.len() / 2] + b[b.len() / 2]) / 2).to_string(),
        };
        stream.write_all(format!("{answer}\r\n").as_bytes())?;
    }
    Ok(())
}
