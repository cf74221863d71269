//! Draws bars and lines as SVG that stands inside a page.
//!
//! Each element has a class, which `chapters/book.css` colours for the reader's theme, and a
//! its own colour for readers who open the file alone. A series is distinguished from the others by
//! its name beside it, its marker and its dashes, not by colour alone. No line is empty: an empty
//! line would end the block of HTML that a page of Markdown takes it for.

use std::fmt::Write;

use super::{Found, Plot, median, number_of};

/// Units of the drawing; on the page it is as wide as there is room for, up to this many pixels.
const WIDTH: f64 = 560.0;

/// The height of letters, and about how wide one is.
const LETTER: (f64, f64) = (14.0, 8.2);

/// From the base of one row to the next.
const ROW: f64 = 24.0;

/// The height of the area in which lines are drawn.
const AREA: f64 = 250.0;

/// Colours for the file without a theme; a plot has as many series at most.
pub(super) const COLOURS: [&str; 4] = ["#0b62a4", "#b34700", "#2f7d32", "#7b3fa0"];

const DASHES: [&str; 4] = ["none", "7 4", "2 3", "9 3 2 3"];

/// Horizontal bars: a row for each number, under its label when there are several series.
pub(super) fn bars(name: &str, plot: &Plot, found: &[Found]) -> String {
    let mut labels: Vec<&str> = Vec::new();
    for (label, _) in found.iter().flat_map(|series| &series.points) {
        if !labels.contains(&label.as_str()) {
            labels.push(label);
        }
    }
    // A label is a row's name where one series has it, and a heading over the series' names
    // otherwise.
    let single = found.len() == 1;
    let mut rows: Vec<(&str, usize, Option<&[f64]>)> = Vec::new();
    for label in labels {
        if !single && !label.is_empty() {
            rows.push((label, 0, None));
        }
        for (number, series) in found.iter().enumerate() {
            if let Some((_, values)) = series.points.iter().find(|(at, _)| at == label) {
                let row = if single { label } else { &series.name };
                rows.push((row, number, Some(values)));
            }
        }
    }
    let names = rows.iter().filter(|row| row.2.is_some());
    let left = widest(names.map(|row| row.0)) + 12.0;
    let numbers = || rows.iter().filter_map(|row| row.2).flatten().copied();
    let highest = numbers().chain(plot.mark).fold(f64::MIN_POSITIVE, f64::max);
    let decimals = even_decimals(numbers());
    let written = widest(
        numbers()
            .map(|n| said_evenly(n, decimals, &plot.unit))
            .collect::<Vec<_>>()
            .iter(),
    );
    let scale = (WIDTH - left - written - 16.0) / highest;
    let top = 34.0;
    let height = top + ROW * rows.len() as f64 + 8.0;
    let mut out = opening(name, plot, height);
    let mut y = top;
    let mut tops = Vec::new();
    for (text, series, values) in rows {
        let base = y + 16.0;
        let Some(values) = values else {
            text_at(&mut out, 0.0, base + 2.0, "start", "plot-heading", text);
            y += ROW;
            continue;
        };
        tops.push(y);
        let value = median(values);
        text_at(&mut out, left - 8.0, base, "end", "plot-label", text);
        let wide = value.max(0.0) * scale;
        let (class, colour) = (series + 1, COLOURS[series]);
        line(
            &mut out,
            &format!(
                r#"<rect class="plot-bar plot-{class}" x="{left:.1}" y="{:.1}" width="{wide:.1}" height="16" fill="{colour}"/>"#,
                y + 3.0
            ),
        );
        let mut end = left + wide;
        if values.len() > 1 {
            for single in values {
                let x = left + single.max(0.0) * scale;
                end = end.max(x);
                line(
                    &mut out,
                    &format!(
                        r#"<path class="plot-run" d="M{x:.1} {:.1}v20" stroke="currentColor"/>"#,
                        y + 1.0
                    ),
                );
            }
        }
        let value = said_evenly(value, decimals, &plot.unit);
        text_at(&mut out, end + 6.0, base, "start", "plot-value", &value);
        y += ROW;
    }
    if let (Some(mark), Some(top)) = (plot.mark, tops.first()) {
        let words = format!("= {}", said(mark, &plot.unit));
        let x = left + mark * scale;
        text_at(&mut out, x, top - 3.0, "middle", "plot-label", &words);
    }
    // The axis and the mark stand beside bars and not in headings.
    for x in [Some(0.0), plot.mark].into_iter().flatten() {
        let x = left + x * scale;
        let beside: String = tops
            .iter()
            .map(|y| format!("M{x:.1} {y:.1}v{ROW}"))
            .collect();
        line(
            &mut out,
            &format!(r#"<path class="plot-axis" d="{beside}" stroke="currentColor"/>"#),
        );
    }
    out + "</svg>\n"
}

/// Lines through the medians, with a marker for each number.
pub(super) fn lines(name: &str, plot: &Plot, found: &[Found]) -> String {
    let at = |text: &str| number_of(text).expect("an x is a number, as was checked");
    let mut places: Vec<f64> = found
        .iter()
        .flat_map(|series| series.points.iter().map(|(x, _)| at(x)))
        .collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    let values = found.iter().flat_map(|series| &series.points);
    let highest = values
        .flat_map(|(_, values)| values)
        .fold(f64::MIN_POSITIVE, |highest, &value| highest.max(value));
    let steps = steps(highest);
    let highest = steps.last().copied().unwrap_or(highest);
    let left = widest(steps.iter().map(|step| said(*step, ""))) + 12.0;
    let right = WIDTH - widest(found.iter().map(|series| &series.name)) - 16.0;
    let bend = |x: f64| {
        if plot.x_by_factors {
            x.max(f64::MIN_POSITIVE).ln()
        } else {
            x
        }
    };
    let (first, last) = (bend(places[0]), bend(places[places.len() - 1]));
    let width = if last > first { last - first } else { 1.0 };
    let inset = 14.0;
    let x_of = |x: f64| left + inset + (bend(x) - first) / width * (right - left - 2.0 * inset);
    let (top, bottom) = (56.0, 56.0 + AREA);
    let y_of = |y: f64| bottom - y / highest * AREA;
    let mut out = opening(name, plot, bottom + 48.0);
    text_at(&mut out, 0.0, 42.0, "start", "plot-label", &plot.y);
    for step in &steps {
        let y = y_of(*step);
        let long = right - left;
        let class = if *step == 0.0 {
            "plot-axis"
        } else {
            "plot-grid"
        };
        line(
            &mut out,
            &format!(
                r#"<path class="{class}" d="M{left:.1} {y:.1}h{long:.1}" stroke="currentColor"/>"#
            ),
        );
        let value = said(*step, "");
        text_at(&mut out, left - 8.0, y + 5.0, "end", "plot-value", &value);
    }
    let mut free = f64::MIN;
    for place in &places {
        let (x, value) = (x_of(*place), said(*place, ""));
        let half = widest([&value]) / 2.0;
        // If places are close, those without room have no number.
        if x - half > free {
            text_at(&mut out, x, bottom + 20.0, "middle", "plot-value", &value);
            free = x + half + 6.0;
        }
    }
    let middle = f64::midpoint(left, right);
    text_at(
        &mut out,
        middle,
        bottom + 40.0,
        "middle",
        "plot-label",
        &plot.x,
    );
    let mut names = Vec::new();
    for (kind, series) in found.iter().enumerate() {
        let (class, colour) = (kind + 1, COLOURS[kind]);
        let mut points: Vec<_> = series.points.iter().map(|(x, v)| (at(x), v)).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut path = String::new();
        for (n, (x, values)) in points.iter().enumerate() {
            let letter = if n == 0 { 'M' } else { 'L' };
            let y = y_of(median(values));
            let _ = write!(path, "{letter}{:.1} {y:.1}", x_of(*x));
        }
        let dashes = DASHES[kind];
        line(
            &mut out,
            &format!(
                r#"<path class="plot-line plot-{class}" d="{path}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dashes}"/>"#
            ),
        );
        for (x, values) in &points {
            for value in *values {
                let said = format!(
                    "{}, {} {}: {}",
                    series.name,
                    said(*x, ""),
                    plot.x,
                    said(*value, "")
                );
                let marker = marker(kind, x_of(*x), y_of(*value));
                line(
                    &mut out,
                    &format!(
                        r#"<path class="plot-point plot-{class}" d="{marker}" fill="{colour}"><title>{}</title></path>"#,
                        escaped(&said)
                    ),
                );
            }
        }
        if let Some((x, values)) = points.last() {
            names.push((y_of(median(values)), x_of(*x), class, &series.name));
        }
    }
    // Each name stands beside the end of its line, and below the one above it.
    names.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut free = top - ROW;
    let most = names.len() as f64;
    for (n, (y, x, class, text)) in names.into_iter().enumerate() {
        let lowest = bottom - (most - 1.0 - n as f64) * 18.0;
        let y = y.max(free + 18.0).min(lowest);
        free = y;
        let class = format!("plot-name plot-{class}");
        text_at(&mut out, x + 12.0, y + 5.0, "start", &class, text);
    }
    out + "</svg>\n"
}

/// The head of a picture: its title and its description.
fn opening(name: &str, plot: &Plot, height: f64) -> String {
    let mut out = String::new();
    let (letter, _) = LETTER;
    line(
        &mut out,
        &format!(
            r#"<svg class="plot" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0}" font-family="sans-serif" font-size="{letter}" role="img" aria-labelledby="plot-{name} plot-{name}-shows">"#
        ),
    );
    let (title, shows) = (escaped(&plot.title), escaped(&plot.shows));
    line(
        &mut out,
        &format!(r#"<title id="plot-{name}">{title}</title>"#),
    );
    line(
        &mut out,
        &format!(r#"<desc id="plot-{name}-shows">{shows}</desc>"#),
    );
    text_at(&mut out, 0.0, 16.0, "start", "plot-title", &plot.title);
    out
}

fn line(out: &mut String, element: &str) {
    out.push_str(element);
    out.push('\n');
}

fn text_at(out: &mut String, x: f64, y: f64, anchor: &str, class: &str, text: &str) {
    let text = escaped(text);
    let bold = match class {
        "plot-title" | "plot-heading" => r#" font-weight="600""#,
        _ => "",
    };
    line(
        out,
        &format!(
            r#"<text class="{class}" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}"{bold} fill="currentColor">{text}</text>"#
        ),
    );
}

/// A marker of its own for each series: circle, square, triangle, diamond.
fn marker(kind: usize, x: f64, y: f64) -> String {
    match kind {
        0 => format!(
            "M{:.1} {y:.1}a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z",
            x - 4.5
        ),
        1 => format!("M{:.1} {:.1}h8v8h-8z", x - 4.0, y - 4.0),
        2 => format!("M{x:.1} {:.1}l5 9h-10z", y - 5.5),
        _ => format!("M{x:.1} {:.1}l5.5 5.5l-5.5 5.5l-5.5 -5.5z", y - 5.5),
    }
}

/// Round numbers from 0 to just above the highest, four to eight of them.
fn steps(highest: f64) -> Vec<f64> {
    let power = 10f64.powf(highest.log10().floor());
    let step = [0.2, 0.25, 0.5, 1.0, 2.0]
        .map(|part| part * power)
        .into_iter()
        .find(|step| highest / step <= 6.0)
        .unwrap_or(power);
    let count = (highest / step).ceil() as u32;
    (0..=count).map(|n| f64::from(n) * step).collect()
}

/// The decimals of a number: three digits, unless it has more before the point.
fn decimals(number: f64) -> usize {
    match number.abs() {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    }
}

/// The decimals of all numbers beside a plot's bars: as many as one of them needs, and none if all are whole.
fn even_decimals(numbers: impl Iterator<Item = f64> + Clone) -> usize {
    let whole = numbers.clone().all(|n| !said(n, "").contains('.'));
    let most = numbers.map(decimals).max();
    most.filter(|_| !whole).unwrap_or(0)
}

/// A number beside a bar: as [`said`], but with the zeros at its end, so that numbers below each other have as many
/// decimals.
fn said_evenly(number: f64, decimals: usize, unit: &str) -> String {
    let even = format!("{number:.decimals$}");
    match unit {
        _ if decimals == 0 => said(number, unit),
        "" => even,
        unit => format!("{even} {unit}"),
    }
}

/// A number as a person writes it: `65,560`, `13.7`, `0.31`.
fn said(number: f64, unit: &str) -> String {
    let size = number.abs();
    let decimals = decimals(size);
    let text = format!("{size:.decimals$}");
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let mut out = String::new();
    for (n, digit) in whole.chars().enumerate() {
        if n > 0 && (whole.len() - n) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    let part = part.trim_end_matches('0');
    if !part.is_empty() {
        let _ = write!(out, ".{part}");
    }
    let sign = if number < 0.0 && out != "0" { "-" } else { "" };
    match unit {
        "" => format!("{sign}{out}"),
        unit => format!("{sign}{out} {unit}"),
    }
}

fn widest<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> f64 {
    let letters = texts.into_iter().map(|text| text.as_ref().chars().count());
    letters.max().unwrap_or(0) as f64 * LETTER.1
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[test]
fn steps_are_round_and_reach_above_the_highest() {
    for (highest, expected) in [
        (1.14, &[0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2][..]),
        (90.0, &[0.0, 20.0, 40.0, 60.0, 80.0, 100.0]),
        (
            86107.0,
            &[0.0, 20000.0, 40000.0, 60000.0, 80000.0, 100_000.0],
        ),
        (3.0, &[0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]),
    ] {
        let found = steps(highest);
        let same = found.len() == expected.len()
            && found
                .iter()
                .zip(expected)
                .all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(same, "{highest}: {found:?}");
    }
}

#[test]
fn numbers_are_said_as_a_person_writes_them() {
    for (number, text) in [
        (65560.4, "65,560"),
        (2_512_563.0, "2,512,563"),
        (100.0, "100"),
        (13.69, "13.7"),
        (0.31, "0.31"),
        (1.0, "1"),
        (-7.8, "-7.8"),
        (-0.001, "0"),
    ] {
        assert_eq!(said(number, ""), text);
    }
    assert_eq!(said(66.1, "%"), "66.1 %");
    for (numbers, texts) in [
        ([1.1, 13.69], ["1.10", "13.69"]),
        ([3.0, 2250.0], ["3", "2,250"]),
    ] {
        let decimals = even_decimals(numbers.into_iter());
        assert_eq!(numbers.map(|n| said_evenly(n, decimals, "")), texts);
    }
    assert_eq!(said_evenly(13.0, 1, "ms"), "13.0 ms");
}
