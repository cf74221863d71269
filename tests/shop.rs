//! The shop of the book, `examples/19_shop`, as its users run it: one command, HTTP, signals.
//!
//! A test starts the program on free ports, with a database of its own. Nothing depends on the speed of the machine: waits end
//! on a condition, or fail the test after [`PATIENCE`](shop::running::PATIENCE).

mod browser_support;
mod support;

mod shop {
    pub(crate) mod running;

    mod hostile;
    mod pages;
    mod parts;
    mod prices;
    mod seen;
}
