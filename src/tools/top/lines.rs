//! A page that is filled from the top, one line after the other.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::widgets::Paragraph;

pub(super) fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

/// A page that is filled from the top, one line after the other. The last line is that of the keys.
pub(super) struct Lines<'a, 'b> {
    pub(super) frame: &'a mut Frame<'b>,
    colours: bool,
    next: u16,
}

impl<'a, 'b> Lines<'a, 'b> {
    pub(super) fn of(frame: &'a mut Frame<'b>, colours: bool) -> Lines<'a, 'b> {
        Lines {
            frame,
            colours,
            next: 0,
        }
    }

    pub(super) fn width(&self) -> u16 {
        self.frame.area().width
    }

    /// Lines that are free, that of the keys included.
    pub(super) fn left(&self) -> u16 {
        self.frame.area().height.saturating_sub(self.next)
    }

    /// The area of the next lines, if there are so many above the keys. A screen of one line has no keys.
    pub(super) fn next(&mut self, rows: u16) -> Option<Rect> {
        let Rect {
            x,
            y,
            width,
            height,
        } = self.frame.area();
        let keys = u16::from(height > 1);
        if width == 0 || self.next + rows + keys > height {
            return None;
        }
        let area = Rect::new(x, y + self.next, width, rows);
        self.next += rows;
        Some(area)
    }

    pub(super) fn put(&mut self, text: &str, style: Style) {
        if let Some(area) = self.next(1) {
            self.frame
                .render_widget(Paragraph::new(text.to_owned()).style(style), area);
        }
    }

    /// The style for trouble.
    pub(super) fn alarm(&self, style: Style) -> Style {
        match self.colours {
            true => style.fg(Color::Red),
            false => style,
        }
    }

    pub(super) fn footer(&mut self, text: &str) {
        let area = self.frame.area();
        if area.height > 1 {
            let last = Rect::new(area.x, area.bottom() - 1, area.width, 1);
            self.frame
                .render_widget(Paragraph::new(text.to_owned()), last);
        }
    }
}
