//! The findings, formatted for a person, a program, or continuous integration.

use std::io::{self, Write};

use serde::Serialize;

use super::check::Finding;
use super::suite::Suite;
use crate::tools::transcript::{Difference, Outcome, Transcript};

/// The names and titles.
pub(super) fn list(chosen: &[&Transcript], out: &mut dyn Write) -> io::Result<()> {
    let width = width(chosen.iter().map(|transcript| transcript.name.as_str()));
    for transcript in chosen {
        let Transcript {
            name, stage, shows, ..
        } = transcript;
        let suite = Suite::of(transcript);
        writeln!(out, "{name:width$}  {suite:9}  stage {stage:<2}  {shows}")?;
    }
    Ok(())
}

/// A line for each transcript, below a failed one its first difference.
pub(super) fn table(title: &str, findings: &[Finding<'_>], out: &mut dyn Write) -> io::Result<()> {
    let width = width(
        findings
            .iter()
            .map(|finding| finding.transcript.name.as_str()),
    );
    writeln!(out, "{title}\n")?;
    for finding in findings {
        let Transcript {
            name, shows, stage, ..
        } = finding.transcript;
        match &finding.outcome {
            Outcome::Passed => writeln!(out, "  {name:width$}  passed   {shows}")?,
            Outcome::Skipped(why) => writeln!(out, "  {name:width$}  skipped  {why}")?,
            Outcome::Failed(difference) => {
                writeln!(out, "  {name:width$}  FAILED   {shows}")?;
                for line in difference.to_string().lines() {
                    writeln!(out, "      {line}")?;
                }
                writeln!(out, "      chapter {stage} of the book explains it")?;
            }
        }
    }
    writeln!(out, "\n{}", summary(findings))
}

fn width<'n>(names: impl Iterator<Item = &'n str>) -> usize {
    names.map(str::len).max().unwrap_or(0)
}

struct Counts {
    passed: usize,
    failed: usize,
    skipped: usize,
}

fn count(findings: &[Finding<'_>]) -> Counts {
    let mut counts = Counts {
        passed: 0,
        failed: 0,
        skipped: 0,
    };
    for finding in findings {
        match finding.outcome {
            Outcome::Passed => counts.passed += 1,
            Outcome::Failed(_) => counts.failed += 1,
            Outcome::Skipped(_) => counts.skipped += 1,
        }
    }
    counts
}

fn summary(findings: &[Finding<'_>]) -> String {
    let Counts {
        passed,
        failed,
        skipped,
    } = count(findings);
    format!("{passed} passed, {failed} failed, {skipped} skipped")
}

#[derive(Serialize)]
struct Report<'a> {
    title: &'a str,
    passed: usize,
    failed: usize,
    skipped: usize,
    transcripts: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    name: &'a str,
    suite: Suite,
    stage: u32,
    shows: &'a str,
    result: &'static str,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    difference: Option<ShownDifference<'a>>,
}

#[derive(Serialize)]
struct ShownDifference<'a> {
    file: &'a str,
    line: usize,
    connection: &'a str,
    delivery: String,
    why: String,
    sent: Vec<String>,
    expected: &'a str,
    got: Vec<String>,
}

fn shown(difference: &Difference) -> ShownDifference<'_> {
    ShownDifference {
        file: &difference.file,
        line: difference.line,
        connection: &difference.connection,
        delivery: difference.delivery.to_string(),
        why: difference.why.to_string(),
        sent: difference.sent_lines(),
        expected: &difference.expected,
        got: difference.got_lines(),
    }
}

/// One JSON object: the counts, and each transcript with its first difference.
pub(super) fn json(title: &str, findings: &[Finding<'_>], out: &mut dyn Write) -> io::Result<()> {
    let Counts {
        passed,
        failed,
        skipped,
    } = count(findings);
    let transcripts = findings.iter().map(|finding| {
        let (result, reason, difference) = match &finding.outcome {
            Outcome::Passed => ("passed", None, None),
            Outcome::Skipped(why) => ("skipped", Some(why.as_str()), None),
            Outcome::Failed(difference) => ("failed", None, Some(shown(difference))),
        };
        Entry {
            name: &finding.transcript.name,
            suite: Suite::of(finding.transcript),
            stage: finding.transcript.stage,
            shows: &finding.transcript.shows,
            result,
            seconds: finding.took.as_secs_f64(),
            reason,
            difference,
        }
    });
    let transcripts = transcripts.collect();
    let report = Report {
        title,
        passed,
        failed,
        skipped,
        transcripts,
    };
    serde_json::to_writer_pretty(&mut *out, &report)?;
    writeln!(out)
}

/// JUnit's XML, as continuous integrations read it.
pub(super) fn junit(title: &str, findings: &[Finding<'_>], out: &mut dyn Write) -> io::Result<()> {
    let Counts {
        failed, skipped, ..
    } = count(findings);
    let seconds: f64 = findings
        .iter()
        .map(|finding| finding.took.as_secs_f64())
        .sum();
    let title = xml(title);
    writeln!(out, r#"<?xml version="1.0" encoding="UTF-8"?>"#)?;
    writeln!(
        out,
        r#"<testsuite name="{title}" tests="{}" failures="{failed}" errors="0" skipped="{skipped}" time="{seconds:.3}">"#,
        findings.len()
    )?;
    for finding in findings {
        let suite = Suite::of(finding.transcript);
        let name = xml(&finding.transcript.name);
        let seconds = finding.took.as_secs_f64();
        write!(
            out,
            r#"  <testcase classname="{suite}" name="{name}" time="{seconds:.3}""#
        )?;
        match &finding.outcome {
            Outcome::Passed => writeln!(out, "/>")?,
            Outcome::Skipped(why) => {
                writeln!(out, "><skipped message=\"{}\"/></testcase>", xml(why))?;
            }
            Outcome::Failed(difference) => {
                let (why, all) = (
                    xml(&difference.why.to_string()),
                    xml(&difference.to_string()),
                );
                writeln!(
                    out,
                    "><failure message=\"{why}\">{all}</failure></testcase>"
                )?;
            }
        }
    }
    writeln!(out, "</testsuite>")
}

/// `text` in an attribute or an element. Differences are printable ASCII already; characters that
/// XML can't hold are left out.
fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(c),
            c if c < ' ' => {}
            c => escaped.push(c),
        }
    }
    escaped
}
