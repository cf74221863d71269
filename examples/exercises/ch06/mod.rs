//! Exercises of chapter 6, reading RESP.

mod ex1_solution;
mod ex1_starter;
mod ex2_solution;
mod ex2_starter;

use super::{Exercise, Serve};

pub(crate) const EXERCISES: &[Exercise] = &[
    Exercise {
        number: "6.1",
        file: "ch06/ex1",
        asks: "read bulk strings by their length, not by lines",
        starter: Serve::Connection(ex1_starter::serve),
        solution: Serve::Connection(ex1_solution::serve),
    },
    Exercise {
        number: "6.2",
        file: "ch06/ex2",
        asks: "split a line into words by the rules of quoting",
        starter: Serve::Connection(ex2_starter::serve),
        solution: Serve::Connection(ex2_solution::serve),
    },
];
