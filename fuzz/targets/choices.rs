//! Decisions made of an input's bytes. A changed byte changes one decision, so a fuzzer can approach a state step by step.

/// The bytes that are left. When there are none, every decision is the first one.
pub(crate) struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Choices<'a> {
        Choices(bytes)
    }

    /// Whether no decision is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A number below `bound`. Bounds above 256 take two bytes.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let mut number = 0;
        for _ in 0..if bound > 256 { 2 } else { 1 } {
            let Some((first, rest)) = self.0.split_first() else {
                return 0;
            };
            number = number << 8 | usize::from(*first);
            self.0 = rest;
        }
        number % bound
    }

    /// A decision that is true for one number of `count`.
    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == count - 1
    }

    /// One of these.
    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Cuts bytes into up to four pieces.
    pub(crate) fn cut<'b>(&mut self, bytes: &'b [u8]) -> Vec<&'b [u8]> {
        let mut pieces = Vec::new();
        let mut rest = bytes;
        for _ in 0..self.below(4) {
            let (piece, behind) = rest.split_at(self.below(rest.len() + 1));
            pieces.push(piece);
            rest = behind;
        }
        pieces.push(rest);
        pieces
    }
}
