//! The commands that wait between MULTI and EXEC, copied end to end.

use crate::protocol::resp::{CommandArgs, CommandWords};

/// The commands between MULTI and EXEC.
#[derive(Default)]
pub(crate) struct CommandQueue {
    words: CommandWords,
    /// The number of each command in the table, and the end of its words; they begin at the end of the previous
    /// command's.
    commands: Vec<(u16, usize)>,
    /// A command was refused: EXEC will not run any.
    pub spoiled: bool,
}

impl CommandQueue {
    pub(crate) fn push(&mut self, number: u16, args: CommandArgs<'_>) {
        self.words.extend_from(args);
        self.commands.push((number, self.words.len()));
    }

    pub(crate) fn len(&self) -> usize {
        self.commands.len()
    }

    /// Bytes held.
    pub(crate) fn size(&self) -> usize {
        self.words.copied() + 8 * self.words.len() + 16 * self.commands.len()
    }

    /// The commands in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u16, CommandArgs<'_>)> {
        let mut first = 0;
        self.commands.iter().map(move |&(number, end)| {
            let args = self.words.slice(first, end);
            first = end;
            (number, args)
        })
    }
}
