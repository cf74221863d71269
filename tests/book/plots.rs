//! Plots of measured figures, drawn into `chapters/plots` from the recorded text and checked to
//! be current.
//!
//! ```text
//!   chapters/measured/NN_name.txt ──┐ numbers, found by pattern
//!                                   ├──▶ chapters/plots/NAME.svg ──▶ the page, by include
//!   chapters/plots/NAME.toml ───────┘ title, kind, series
//! ```
//!
//! A plot is a description of a few lines; `chapters/README.md` says how one is written. Plots are
//! never drawn by hand, and no number is typed: `LARDER_BLESS=1 cargo test --test book plots`
//! writes those that are out of date. A page that shows a plot shows the text that it is made from
//! as well, for readers who can't see it or need the numbers.
//!
//! The picture stands inside the page, so that it takes its colours from the reader's theme. The
//! crate `plotters` can't do that: it writes a colour into each element, and has neither classes
//! nor titles. Without it, a plot needs only a scale and a few elements.

mod svg;

use std::env;
use std::fs;
use std::path::Path;

use regex::Regex;
use serde::Deserialize;

use super::includes;
use super::pages::{Book, files_below, text_of};

/// The content of `chapters/plots/NAME.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plot {
    kind: Kind,
    /// The content in a few words: the heading of the picture.
    title: String,
    /// The content in a sentence, for readers who can't see it.
    shows: String,
    /// The recorded text, relative to `chapters`.
    from: String,
    /// Bars: the unit behind each number.
    #[serde(default)]
    unit: String,
    /// Bars: a line across them, as for a ratio of 1.
    mark: Option<f64>,
    /// Lines: the units of the axes.
    #[serde(default)]
    x: String,
    #[serde(default)]
    y: String,
    /// Lines: whether the same way along x is the same factor.
    #[serde(default)]
    x_by_factors: bool,
    series: Vec<Series>,
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Bars,
    Lines,
}

/// One colour of the plot, and the place of its numbers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Series {
    name: String,
    /// A pattern for the heading whose lines are meant: they end with the next heading of the
    /// plot or an empty line. Without it, all lines are.
    under: Option<String>,
    /// A pattern for the lines that hold a number: `(?<value>…)` and perhaps `(?<label>…)` for
    /// bars, `(?<x>…)` and `(?<y>…)` for lines. Label and x may stand in the heading instead.
    line: String,
}

/// The numbers of a series: several for a figure that was measured more than once.
#[derive(Debug, PartialEq)]
struct Found {
    name: String,
    /// Label or x, with its measured numbers, in the order of the text.
    points: Vec<(String, Vec<f64>)>,
}

/// Every plot that is missing, out of date, left over, shown twice or without its text.
pub(crate) fn problems(book: &Book) -> Vec<String> {
    let mut problems = Vec::new();
    let directory = book.root.join("chapters/plots");
    for file in files_below(&directory, ".toml") {
        let drawing = file.with_extension("svg");
        let name = shown_name(&file);
        let (plot, current) = match read(&file).and_then(|p| Ok((drawn(book, &name, &p)?, p))) {
            Ok((current, plot)) => (plot, current),
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        if text_of(&drawing).ok().as_ref() != Some(&current) {
            if env::var_os("LARDER_BLESS").is_some() {
                let written = fs::write(&drawing, &current);
                problems.extend(written.err().map(|error| error.to_string()));
            } else {
                problems.push(format!(
                    "chapters/plots/{name}.svg is not current: LARDER_BLESS=1 cargo test --test book plots"
                ));
            }
        }
        let pages: Vec<_> = book
            .pages
            .iter()
            .filter(|page| page.plots.iter().any(|(_, shown)| *shown == name))
            .collect();
        let text = Path::new("chapters").join(&plot.from);
        match pages[..] {
            [page] => {
                let includes = page
                    .fences
                    .iter()
                    .filter_map(|f| includes::of(page, f).ok());
                if !includes.flatten().any(|include| include.path == text) {
                    let page = page.path.display();
                    problems.push(format!("{page}: plot {name} without {}", plot.from));
                }
            }
            [] => problems.push(format!("no page shows the plot {name}")),
            // The print page holds all pages, and an id must be there once.
            _ => problems.push(format!("more than one page shows the plot {name}")),
        }
    }
    for page in &book.pages {
        for (line, name) in &page.plots {
            if !directory.join(format!("{name}.toml")).is_file() {
                let at = page.at(*line);
                problems.push(format!("{at}: there is no chapters/plots/{name}.toml"));
            }
        }
    }
    for file in files_below(&directory, ".svg") {
        if !file.with_extension("toml").is_file() {
            let name = shown_name(&file);
            problems.push(format!("chapters/plots/{name}.svg: nothing describes it"));
        }
    }
    problems
}

fn shown_name(file: &Path) -> String {
    let name = file.file_stem().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn read(file: &Path) -> Result<Plot, String> {
    let name = shown_name(file);
    toml::from_str(&text_of(file)?).map_err(|error| format!("chapters/plots/{name}.toml: {error}"))
}

/// The picture that a description gives now.
pub(crate) fn drawing(book: &Book, name: &str) -> Result<String, String> {
    let file = book.root.join(format!("chapters/plots/{name}.toml"));
    drawn(book, name, &read(&file)?)
}

fn drawn(book: &Book, name: &str, plot: &Plot) -> Result<String, String> {
    let text = text_of(&book.root.join("chapters").join(&plot.from))?;
    let found = found(plot, &text).map_err(|problem| format!("plot {name}: {problem}"))?;
    Ok(match plot.kind {
        Kind::Bars => svg::bars(name, plot, &found),
        Kind::Lines => svg::lines(name, plot, &found),
    })
}

/// The numbers of each series. A series that finds none is an error, and so is a number that two
/// series claim.
fn found(plot: &Plot, text: &str) -> Result<Vec<Found>, String> {
    let pattern = |text: &str| Regex::new(text).map_err(|error| error.to_string());
    let (key, number) = match plot.kind {
        Kind::Bars => ("label", "value"),
        Kind::Lines => ("x", "y"),
    };
    if plot.series.len() > svg::COLOURS.len() {
        return Err("there are no colours for so many series".into());
    }
    let mut all = Vec::new();
    let mut headings = Vec::new();
    for series in &plot.series {
        let under = series.under.as_deref().map(pattern).transpose()?;
        headings.extend(under.clone());
        let points = Vec::new();
        let name = series.name.clone();
        all.push((under, pattern(&series.line)?, Found { name, points }));
    }
    let mut heading = "";
    for line in text.lines() {
        if line.is_empty() || headings.iter().any(|under| under.is_match(line)) {
            heading = line;
        }
        let mut taken = Vec::new();
        for (under, pattern, found) in &mut all {
            let above = under.as_ref().map(|under| under.captures(heading));
            if above.as_ref().is_some_and(Option::is_none) {
                continue;
            }
            let Some(captures) = pattern.captures(line) else {
                continue;
            };
            let place = captures.name(number).map(|value| value.range());
            if taken.contains(&place) {
                return Err(format!("two series take the same of the line {line:?}"));
            }
            taken.push(place);
            let above = above.flatten();
            let at = captures
                .name(key)
                .or_else(|| above.as_ref()?.name(key))
                .map_or("", |at| at.as_str())
                .to_owned();
            let value = captures
                .name(number)
                .and_then(|value| number_of(value.as_str()))
                .ok_or_else(|| format!("no {number} in the line {line:?}"))?;
            if plot.kind == Kind::Lines && number_of(&at).is_none() {
                return Err(format!("no x in the line {line:?}"));
            }
            match found.points.iter_mut().find(|(label, _)| *label == at) {
                Some((_, values)) => values.push(value),
                None => found.points.push((at, vec![value])),
            }
        }
    }
    let found: Vec<Found> = all.into_iter().map(|(_, _, found)| found).collect();
    match found.iter().find(|found| found.points.is_empty()) {
        Some(nothing) => Err(format!("{} has no line for {:?}", plot.from, nothing.name)),
        None => Ok(found),
    }
}

/// A number as our scripts print it: `65,560`, `0.31`, `-7.8`; a duration is taken in
/// milliseconds.
fn number_of(text: &str) -> Option<f64> {
    let units = [("ns", 1e-6), ("µs", 1e-3), ("ms", 1.0), ("s", 1e3)];
    let unit = units.iter().find(|(unit, _)| text.ends_with(unit));
    let (digits, factor) = match unit {
        Some((unit, factor)) => (text.strip_suffix(unit)?, *factor),
        None => (text, 1.0),
    };
    let number: f64 = digits.trim().replace(',', "").parse().ok()?;
    Some(number * factor).filter(|number| number.is_finite())
}

/// The median of the measured numbers; of two, their mean.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        1 => sorted[middle],
        _ => (sorted[middle - 1] + sorted[middle]) / 2.0,
    }
}

#[test]
fn plots_find_their_numbers_under_their_headings() {
    let plot: Plot = toml::from_str(
        r#"
        kind = "lines"
        title = "Rates"
        shows = "Ours and theirs."
        from = "measured/rates.txt"
        series = [
            { name = "ours", under = "^ours", line = '^(?<x>\d+) clients: (?<y>\S+)/s' },
            { name = "theirs", under = "^theirs", line = '^(?<x>\d+) clients: (?<y>\S+)/s' },
        ]
        "#,
    )
    .expect("a plot");
    let text = "1 clients: 9/s\nours, round 1\n1 clients: 2,000/s\n8 clients: 3/s\n\
                theirs\n1 clients: 4/s\n\n8 clients: 5/s\nours, round 2\n1 clients: 3,000/s\n";
    let series = |name: &str, points: &[(&str, &[f64])]| Found {
        name: name.to_owned(),
        points: points
            .iter()
            .map(|(at, values)| ((*at).to_owned(), values.to_vec()))
            .collect(),
    };
    let expected = [
        series("ours", &[("1", &[2000.0, 3000.0]), ("8", &[3.0])]),
        series("theirs", &[("1", &[4.0])]),
    ];
    assert_eq!(found(&plot, text).expect("numbers"), expected);
    let error = found(&plot, "ours\n1 clients: 2/s\n").expect_err("theirs are missing");
    assert_eq!(error, r#"measured/rates.txt has no line for "theirs""#);
    let error = found(&plot, "ours\n1 clients: many/s\n").expect_err("not a number");
    assert!(error.starts_with("no y in the line"), "{error}");
}

#[test]
fn a_label_may_stand_in_the_heading_and_a_number_belongs_to_one_series() {
    let description = |line: &str| -> Plot {
        let series = format!(
            r#"series = [{{ name = "ours", under = "^with (?<label>.*)", line = '^(?<value>\d+) .*' }},
                         {{ name = "theirs", under = "^with (?<label>.*)", line = '{line}' }}]"#
        );
        let head = "kind = 'bars'\ntitle = ''\nshows = ''\nfrom = ''\n";
        toml::from_str(&format!("{head}{series}")).expect("a plot")
    };
    let text = "with one key\n7 8\nwith two keys\n9 10\n";
    let found_in = found(&description(r"^\d+ (?<value>\d+)"), text).expect("numbers");
    let theirs = [
        ("one key".to_owned(), vec![8.0]),
        ("two keys".to_owned(), vec![10.0]),
    ];
    assert_eq!(found_in[1].points, theirs);
    let error = found(&description(r"^(?<value>\d+)"), text).expect_err("claimed twice");
    assert!(error.starts_with("two series take the same"), "{error}");
}

#[test]
fn numbers_are_read_as_our_scripts_print_them() {
    for (text, number) in [
        ("65,560", Some(65560.0)),
        ("-7.8", Some(-7.8)),
        ("57.5µs", Some(0.0575)),
        ("1.25ms", Some(1.25)),
        ("2s", Some(2000.0)),
        ("many", None),
        ("inf", None),
    ] {
        let read = number_of(text);
        let close = match (read, number) {
            (Some(read), Some(number)) => (read - number).abs() < 1e-9,
            (read, number) => read == number,
        };
        assert!(close, "{text}: {read:?}");
    }
    assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
    assert!((median(&[3.0, 1.0]) - 2.0).abs() < 1e-9);
}
