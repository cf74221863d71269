"use strict";
// Reads /metrics once a second and plots the last minutes of it: page.js, behind this file, which makes figures of the text.
//
//   fetch ─▶ parse: name and labels → number ─▶ history, up to 15 minutes ─▶ series: a rate, a value or a quantile ─▶ SVG

// --- the figures

function parse(text) {
  const values = new Map();
  for (const line of text.split("\n")) {
    const end = line.lastIndexOf(" ");
    if (end > 0 && line[0] !== "#") values.set(line.slice(0, end), Number(line.slice(end + 1)));
  }
  return values;
}

function labelsOf(sample) {
  const labels = {};
  for (const [, name, value] of sample.matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g)) {
    labels[name] = value.replace(/\\(.)/g, (_, letter) => letter === "n" ? "\n" : letter);
  }
  return labels;
}

// The samples of a family that have all of these labels.
function samplesOf(values, family, wanted = {}) {
  const found = [];
  for (const [sample, value] of values) {
    if (sample !== family && !sample.startsWith(family + "{")) continue;
    const labels = labelsOf(sample);
    if (Object.entries(wanted).every(([name, value]) => labels[name] === value)) found.push({labels, value});
  }
  return found;
}

// The sum of the samples of a family; null if there is none.
function sum(values, family, labels) {
  const samples = samplesOf(values, family, labels);
  return samples.length ? samples.reduce((all, sample) => all + sample.value, 0) : null;
}

// A function of two moments in a row: the increase in a second. A restart or a reset has none.
const rate = (family, labels) => (before, now) => {
  const [from, to] = [sum(before.values, family, labels), sum(now.values, family, labels)];
  return from === null || to === null || to < from ? null : (to - from) * 1000 / (now.at - before.at);
};
const value = (family, labels) => (_, now) => sum(now.values, family, labels);
const part = (of, all) => (before, now) => {
  const [some, total] = [of, all].map((of) => of(before, now));
  return total > 0 ? 100 * some / total : null;
};

// The increase of each bucket of a histogram between two moments: [upper bound, count], cumulative.
function increase(before, now, family, labels) {
  const counts = new Map(), add = (moment, sign) => {
    for (const {labels: {le}, value} of samplesOf(moment.values, family + "_bucket", labels)) {
      counts.set(le, (counts.get(le) ?? 0) + sign * value);
    }
  };
  add(now, 1);
  add(before, -1);
  return [...counts].map(([le, count]) => [le === "+Inf" ? Infinity : Number(le), count]).sort((a, b) => a[0] - b[0]);
}

// The time within which this part of the requests was answered, in seconds, as histogram_quantile of Prometheus.
const quantile = (q, family, labels) => (before, now) => quantileOf(increase(before, now, family, labels), q);
function quantileOf(buckets, q) {
  const all = buckets.at(-1)?.[1] ?? 0;
  if (!(all > 0)) return null;
  let [low, passed] = [0, 0];
  for (const [bound, count] of buckets) {
    if (count >= q * all) return bound === Infinity ? low : low + (bound - low) * (q * all - passed) / Math.max(count - passed, 1);
    [low, passed] = [bound, count];
  }
  return low;
}

// The commands that were called between two moments, the busiest first: labels, calls in a second, and a function for the
// quantiles of their times, which only a server measures. It looks names up as text, because there may be hundreds.
function commandsOf(before, now) {
  const name = "larder_commands_total", found = [];
  for (const [sample, calls] of now.values) {
    if (!sample.startsWith(name + "{")) continue;
    const more = calls - (before.values.get(sample) ?? 0);
    if (more > 0) found.push({labels: labelsOf(sample), rate: more * 1000 / (now.at - before.at), called: sample.slice(name.length, -1)});
  }
  const times = ({called}) => {
    const begin = "larder_command_duration_seconds_bucket" + called + ",";
    const buckets = [...now.values].filter(([sample]) => sample.startsWith(begin)).map(([sample, count]) =>
      [Number(labelsOf(sample).le.replace("+Inf", "Infinity")), count - (before.values.get(sample) ?? 0)]);
    return (q) => quantileOf(buckets, q);
  };
  return found.sort((a, b) => b.rate - a.rate).map((command) => ({...command, times: () => times(command)}));
}

// --- numbers for people

function withUnit(number, step, units, digits = 3) {
  let unit = 0;
  while (Math.abs(number) >= step && unit + 1 < units.length) { number /= step; unit += 1; }
  const shown = Number(number.toPrecision(digits));
  return (Math.abs(shown) >= 100 ? String(Math.round(number)) : String(shown)) + units[unit];
}
const FORMATS = {
  rate: (n) => withUnit(n, 1000, ["/s", "k/s", "M/s"]),
  count: (n) => withUnit(n, 1000, ["", "k", "M", "G"]),
  bytes: (n) => withUnit(n, 1024, [" B", " KiB", " MiB", " GiB", " TiB"]),
  traffic: (n) => withUnit(n, 1024, [" B/s", " KiB/s", " MiB/s", " GiB/s"]),
  percent: (n) => withUnit(n, Infinity, [" %"]),
  cores: (n) => withUnit(n, Infinity, [""], 2),
  seconds: (n) => n >= 1 || n === 0 ? span(n) : n >= 1e-3 ? withUnit(n * 1e3, Infinity, [" ms"]) : withUnit(n * 1e6, Infinity, [" µs"]),
};
function span(seconds) {
  const units = [[86400, " d"], [3600, " h"], [60, " min"]];
  const [size, name] = units.find(([size]) => seconds >= 2 * size) ?? [1, " s"];
  return Number((seconds / size).toPrecision(3)) + name;
}
const show = (number, format) => number === null || number === undefined ? "–" : FORMATS[format](number);

// The smallest round number that is at least this one, for the top of a plot.
function roundUp(number, format) {
  if (!(number > 0)) return 1;
  const base = format === "bytes" || format === "traffic" ? 1024 ** Math.floor(Math.log2(number) / 10) : 1;
  const power = 10 ** Math.floor(Math.log10(number / base));
  return base * power * [1, 2, 4, 5, 10].find((step) => step * power * base >= number * 0.999);
}
