//! Exercises of chapter 16, measure it.

mod ex1_solution;
mod ex1_starter;
mod ex2_solution;
mod ex2_starter;

use super::{Exercise, Serve};

pub(crate) const EXERCISES: &[Exercise] = &[
    Exercise {
        number: "16.1",
        file: "ch16/ex1",
        asks: "count the latency of an open loop from the time at which a request was due",
        starter: Serve::Connection(ex1_starter::serve),
        solution: Serve::Connection(ex1_solution::serve),
    },
    Exercise {
        number: "16.2",
        file: "ch16/ex2",
        asks: "compute the median of what two threads have measured",
        starter: Serve::Connection(ex2_starter::serve),
        solution: Serve::Connection(ex2_solution::serve),
    },
];
