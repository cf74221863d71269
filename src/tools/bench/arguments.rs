//! The command line of `larder bench`.

use std::path::PathBuf;

use clap::Args as Arguments;

use super::dialect::Dialect;
use super::sizes::ValueSizes;
use super::workload::Ratio;

/// The options of `larder bench`.
#[derive(Debug, Clone, Arguments)]
pub struct Args {
    /// The server: host:port, or the path of a Unix socket
    #[arg(value_name = "ADDR")]
    pub address: String,

    /// The protocol of the load [default: the protocol that the server speaks]. An echo server gets keys as lines, and no sets
    #[arg(long, value_enum)]
    pub protocol: Option<Dialect>,

    /// Connections, shared by the threads
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = count)]
    pub connections: usize,

    /// Requests that a connection sends before it waits for replies
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = count)]
    pub pipeline: usize,

    /// Keys that a get asks for: `get k1 k2 …`, or MGET. Each key counts in the hit ratio
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = count)]
    pub multi_get: usize,

    /// Open a connection, send --pipeline requests, and close it when all are answered, again and again. Latency counts
    /// from the opening. A thread opens one connection at a time: give as many --threads as --connections
    #[arg(long, conflicts_with = "rate")]
    pub reconnect: bool,

    /// Threads of this tool
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = count)]
    pub threads: usize,

    /// Time to measure
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = span, conflicts_with = "requests")]
    pub seconds: f64,

    /// Number of requests to measure, instead of a time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1 << 40))]
    pub requests: Option<u64>,

    /// Open loop: send this many requests a second without waiting for replies; latency counts from the time at which a
    /// request was due [default: closed loop, the next request follows the reply]
    #[arg(long, value_name = "REQUESTS", value_parser = rate)]
    pub rate: Option<f64>,

    /// Time that the load runs before it is measured
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    pub warm_up: f64,

    /// Gets to sets; 1:0 are gets only
    #[arg(long, value_name = "GETS:SETS", default_value = "9:1")]
    pub ratio: Ratio,

    /// Number of keys
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=1 << 40))]
    pub keys: u64,

    /// Bytes of a key
    #[arg(long, value_name = "BYTES", default_value_t = 16)]
    pub key_size: usize,

    /// Bytes of a value: a number, a range as 100-2000, or @FILE with a line SIZE,COUNT for each size
    #[arg(long, value_name = "BYTES", default_value = "100")]
    pub value_size: ValueSizes,

    /// Ask for few keys most often: the key of rank r comes in proportion to 1 / r^S [default: all keys alike]
    #[arg(long, value_name = "S", value_parser = exponent)]
    pub zipf: Option<f64>,

    /// Don't set the keys first; the server's items must come from a run with the same --key-size and --value-size
    #[arg(long)]
    pub no_fill: bool,

    /// Another number chooses other keys
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// A PEM file of the authorities of the server, which has to speak TLS, with a certificate for the host of ADDR
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,

    /// A PEM file with the certificate that a server with TLS sees, if it asks for one
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// The PEM file of this certificate's private key
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// The server's process: adds its processor time for each operation and its memory
    #[arg(long, value_name = "PID")]
    pub pid: Option<u32>,

    /// A second server: both are loaded in turn, in short slices, and the ratio of the first to this one is reported
    #[arg(long, value_name = "ADDR")]
    pub versus: Option<String>,

    /// The authorities of the second server, as --tls-ca
    #[arg(long, value_name = "FILE", requires = "versus")]
    pub versus_tls_ca: Option<PathBuf>,

    /// The process of the second server, as --pid
    #[arg(long, value_name = "PID", requires = "versus")]
    pub versus_pid: Option<u32>,

    /// Length of a slice of --versus; --seconds is for each server
    #[arg(long, value_name = "SECONDS", default_value_t = 0.5, value_parser = span, requires = "versus")]
    pub slice: f64,

    /// Replay a trace instead of a load, to find the hit ratio: a CSV file with the columns time,key,size,op,ttl, with
    /// those of Twitter's cache traces, or with a line of names as Meta's. A get that misses is followed by a set.
    /// --requests ends it early
    #[arg(long, value_name = "TRACE", conflicts_with_all = [
        "connections", "pipeline", "multi_get", "reconnect", "threads", "seconds", "rate", "warm_up", "ratio", "keys",
        "key_size", "value_size", "zipf", "no_fill", "seed", "slice",
    ])]
    pub replay: Option<PathBuf>,

    /// Write a plot of the latencies by percentile, as SVG
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,

    /// Time to wait for a connection, and for a reply
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = span)]
    pub timeout: f64,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if (1..=1_000_000).contains(&count) => Ok(count),
        _ => Err("a number from 1 to 1000000".into()),
    }
}

fn span(text: &str) -> Result<f64, String> {
    match seconds(text)? {
        0.0 => Err("a number of seconds above 0".into()),
        seconds => Ok(seconds),
    }
}

/// A day at most: more is a mistake.
fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds from 0 to 86400, as in 0.5".into()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.1..=1e8).contains(&rate) => Ok(rate),
        _ => Err("a number of requests in a second from 0.1 to 100000000".into()),
    }
}

fn exponent(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(exponent) if exponent > 0.0 && exponent <= 10.0 => Ok(exponent),
        _ => Err("a number above 0 and up to 10, as in 0.99".into()),
    }
}
