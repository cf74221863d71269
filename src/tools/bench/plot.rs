//! Latency by percentile as an SVG. Both scales are logarithmic, so that the tail has as much room as the rest: from one
//! mark to the next the percentile's distance from 100 is a tenth.

use std::fmt::Write;

use hdrhistogram::Histogram;

use super::numbers::micros;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
/// The edges of the area with the lines.
const LEFT: f64 = 70.0;
const RIGHT: f64 = WIDTH - 30.0;
const TOP: f64 = 70.0;
const BOTTOM: f64 = HEIGHT - 50.0;

/// The approximate width of a letter.
const LETTER: f64 = 8.2;

const COLOURS: [&str; 4] = ["#0b62a4", "#b34700", "#2f7d32", "#7b3fa0"];
const DASHES: [&str; 4] = ["none", "7 4", "2 3", "9 3 2 3"];

/// The percentiles with a mark, and the position of the last.
const MARKS: [&str; 6] = ["0", "90", "99", "99.9", "99.99", "99.999"];

/// A line of the plot.
pub(super) struct Series<'a> {
    pub(super) name: String,
    pub(super) latencies: &'a Histogram<u64>,
}

/// The plot; series without latencies are left out.
pub(super) fn svg(title: &str, series: &[Series<'_>]) -> String {
    let series: Vec<_> = series
        .iter()
        .filter(|series| !series.latencies.is_empty())
        .collect();
    let lowest = series.iter().map(|series| series.latencies.min()).min();
    let highest = series.iter().map(|series| series.latencies.max()).max();
    // Powers of ten around all latencies, in nanoseconds.
    let low = (lowest.unwrap_or(1).max(1) as f64).log10().floor();
    let high = (highest.unwrap_or(1).max(1) as f64)
        .log10()
        .ceil()
        .max(low + 1.0);
    let y_of = |nanos: f64| BOTTOM - (nanos.max(1.0).log10() - low) / (high - low) * (BOTTOM - TOP);
    let mut out = format!(
        "<svg class=\"plot\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"14\" role=\"img\">\n<title>{}</title>\n",
        escaped(title)
    );
    text(&mut out, 0.0, 16.0, "start", title);
    text(&mut out, 0.0, 60.0, "start", "µs");
    text(
        &mut out,
        f64::midpoint(LEFT, RIGHT),
        HEIGHT - 8.0,
        "middle",
        "percentile of the requests",
    );
    let mut power = low;
    while power <= high {
        let nanos = 10f64.powf(power);
        grid(&mut out, &format!("M{LEFT} {:.1}H{RIGHT}", y_of(nanos)));
        text(
            &mut out,
            LEFT - 8.0,
            y_of(nanos) + 5.0,
            "end",
            &micros(nanos as u64),
        );
        power += 1.0;
    }
    for (place, mark) in MARKS.iter().enumerate() {
        let x = x_of(place as f64);
        grid(&mut out, &format!("M{x:.1} {TOP}V{BOTTOM}"));
        text(&mut out, x, BOTTOM + 20.0, "middle", mark);
    }
    let mut legend = LEFT;
    for (number, series) in series.iter().enumerate() {
        line(&mut out, number, legend, series, y_of);
        legend += 60.0 + series.name.len() as f64 * LETTER;
    }
    out + "</svg>\n"
}

/// One line, and its name in the legend at `x`.
fn line(out: &mut String, number: usize, x: f64, series: &Series<'_>, y_of: impl Fn(f64) -> f64) {
    let (colour, dashes) = (
        COLOURS[number % COLOURS.len()],
        DASHES[number % DASHES.len()],
    );
    let last = (MARKS.len() - 1) as f64;
    // Percentiles beyond the number of requests have no meaning.
    let most = (series.latencies.len() as f64).log10().min(last);
    let steps = 100;
    let points = (0..=steps).map(|step| {
        let place = most * f64::from(step) / f64::from(steps);
        let nanos = series.latencies.value_at_quantile(1.0 - 10f64.powf(-place));
        format!("{:.1} {:.1}", x_of(place), y_of(nanos as f64))
    });
    let path = points.collect::<Vec<_>>().join("L");
    let stroke = format!("stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\"");
    let _ = writeln!(
        out,
        "<path class=\"plot-line\" d=\"M{path}\" fill=\"none\" {stroke}/>"
    );
    let _ = writeln!(out, "<path d=\"M{x:.1} 36h24\" fill=\"none\" {stroke}/>");
    text(out, x + 30.0, 41.0, "start", &series.name);
}

fn x_of(place: f64) -> f64 {
    LEFT + place / (MARKS.len() - 1) as f64 * (RIGHT - LEFT)
}

fn grid(out: &mut String, path: &str) {
    let _ = writeln!(
        out,
        "<path class=\"plot-grid\" d=\"{path}\" stroke=\"currentColor\" stroke-opacity=\"0.2\"/>"
    );
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"currentColor\">{}</text>",
        escaped(text)
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_series_with_latencies_is_a_line_that_rises_to_the_right() {
        let mut latencies = Histogram::<u64>::new(3).expect("valid");
        (1..=1000u64).for_each(|micros| latencies.record(micros * 1000).expect("in range"));
        let none = Histogram::<u64>::new(3).expect("valid");
        let series = |name: &str, latencies| Series {
            name: name.into(),
            latencies,
        };
        let drawn = svg("a < b", &[series("get", &latencies), series("set", &none)]);
        assert_eq!(drawn.matches("class=\"plot-line\"").count(), 1, "{drawn}");
        assert!(drawn.contains("<title>a &lt; b</title>") && drawn.contains(">get</text>"));
        assert!(!drawn.contains(">set</text>"));
        let (_, path) = drawn
            .split_once("class=\"plot-line\" d=\"M")
            .expect("a line");
        let (path, _) = path.split_once('"').expect("its end");
        let points = path.split('L').map(|point| {
            let (x, y) = point.split_once(' ').expect("two numbers");
            (
                x.parse::<f64>().expect("a number"),
                y.parse::<f64>().expect("a number"),
            )
        });
        let points: Vec<_> = points.collect();
        assert!(
            points.is_sorted_by(|a, b| a.0 < b.0 && a.1 >= b.1),
            "{points:?}"
        );
        // 1,000 requests have percentiles up to 99.9.
        assert_eq!(
            points.last().map(|point| point.0),
            Some((x_of(3.0) * 10.0).round() / 10.0)
        );
    }
}
