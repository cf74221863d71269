"use strict";
// Reads /metrics once a second and plots the last minutes of it: page.js, behind this file, which makes figures of the text.
//
//   fetch ─▶ parse: families of samples ─▶ history, up to 15 minutes ─▶ series: a rate, a value or a quantile ─▶ SVG
//
// A moment of the history is {at, values, run}: the time, the families, and a number that is another one behind a restart, or
// behind a reset of the statistics. Rates and quantiles are those of two moments of one run.

// --- the figures

// The families of a text: their names, each with its samples {labels, value}. Samples with the same labels, also of other texts,
// have the same object of labels.
function parse(text) {
  const values = new Map();
  for (const line of text.split("\n")) {
    const end = line.lastIndexOf(" ");
    if (end <= 0 || line[0] === "#") continue;
    const brace = line.indexOf("{"), name = line.slice(0, brace < 0 ? end : brace);
    const sample = {labels: labelsOf(brace < 0 ? "" : line.slice(brace, end)), value: Number(line.slice(end + 1))};
    if (values.has(name)) values.get(name).push(sample);
    else values.set(name, [sample]);
  }
  return values;
}

const known = new Map(); // labels as text, with the labels
function labelsOf(text) {
  if (known.has(text)) return known.get(text);
  const labels = {};
  for (const [, name, value] of text.matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g)) {
    labels[name] = value.replace(/\\(.)/g, (_, letter) => letter === "n" ? "\n" : letter);
  }
  known.set(text, labels);
  return labels;
}

// The samples of a family that have all of these labels.
function samplesOf(values, family, wanted = {}) {
  const pairs = Object.entries(wanted);
  return (values.get(family) ?? []).filter(({labels}) => pairs.every(([name, value]) => labels[name] === value));
}

// The sum of the samples of a family; null if there is none.
function sum(values, family, labels) {
  const samples = samplesOf(values, family, labels);
  return samples.length ? samples.reduce((all, sample) => all + sample.value, 0) : null;
}

// The next moment, behind those before it.
function momentOf(before, at, values) {
  const of = (moment, family) => sum(moment.values, family), now = {at, values};
  const goesOn = before !== undefined && of(before, "process_start_time_seconds") === of(now, "process_start_time_seconds")
    && (of(before, "larder_commands_total") ?? 0) <= (of(now, "larder_commands_total") ?? 0);
  return {...now, run: (before?.run ?? 0) + (goesOn ? 0 : 1)};
}

// A function of two moments: the increase in a second. One moment has none, and a counter that went back has none.
const rate = (family, labels) => (before, now) => {
  const [from, to] = [sum(before.values, family, labels), sum(now.values, family, labels)];
  return from === null || to === null || to < from || before === now ? null : (to - from) * 1000 / (now.at - before.at);
};
const value = (family, labels) => (_, now) => sum(now.values, family, labels);
const part = (of, all) => (before, now) => {
  const [some, total] = [of, all].map((of) => of(before, now));
  return some !== null && total > 0 ? 100 * some / total : null;
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

// The time within which this part of the requests was answered, in seconds, as histogram_quantile of Prometheus. Behind the last
// finite bound, it is that bound. Null without requests, or if a count went back.
const quantile = (q, family, labels) => (before, now) => quantileOf(increase(before, now, family, labels), q);
function quantileOf(buckets, q) {
  const all = buckets.at(-1)?.[1] ?? 0;
  if (!(all > 0) || buckets.length < 2 || buckets.some(([, count]) => count < 0)) return null;
  let [low, passed] = [0, 0];
  for (const [bound, count] of buckets) {
    if (count >= q * all) return bound === Infinity ? low : low + (bound - low) * (q * all - passed) / Math.max(count - passed, 1);
    [low, passed] = [bound, count];
  }
  return low;
}

// The commands that were called between two moments, the busiest first: labels, and calls in a second.
function commandsOf(before, now) {
  const family = "larder_commands_total";
  const earlier = new Map(samplesOf(before.values, family).map(({labels, value}) => [labels, value]));
  const all = samplesOf(now.values, family).map(({labels, value}) =>
    ({labels, rate: (value - (earlier.get(labels) ?? 0)) * 1000 / (now.at - before.at)}));
  return all.filter(({rate}) => rate > 0).sort((a, b) => b.rate - a.rate);
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
