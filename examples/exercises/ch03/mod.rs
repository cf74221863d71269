//! Exercises of chapter 3, lines and a regex.

mod ex1_solution;
mod ex1_starter;
mod ex2_solution;
mod ex2_starter;

use super::{Exercise, Serve};

pub(crate) const EXERCISES: &[Exercise] = &[
    Exercise {
        number: "3.1",
        file: "ch03/ex1",
        asks: "fix the grammar of incr: keys with a colon, numbers of 64 bits, errors instead of silence",
        starter: Serve::Connection(ex1_starter::serve),
        solution: Serve::Connection(ex1_solution::serve),
    },
    Exercise {
        number: "3.2",
        file: "ch03/ex2",
        asks: "read a value by its length and not as a line",
        starter: Serve::Connection(ex2_starter::serve),
        solution: Serve::Connection(ex2_solution::serve),
    },
];
