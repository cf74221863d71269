// Draws the figures, of each subcommand those that matter there.

const EVERY_MS = 1000, KEPT_MS = 15 * 60 * 1000, GAP_MS = 5000, MOST_LINES = 6, BUSIEST = 10;
const WIDTH = 460, HEIGHT = 176, LEFT = 52, RIGHT = 8, TOP = 6, BOTTOM = 20;
const history = []; // of moments, the oldest first
let pointed = null; // the time under the pointer
let failure = null; // why the last look had no answer

// --- the plots of each subcommand

const line = (name, of) => ({name, of});
const REQUEST_TIME = "larder_request_duration_seconds", UPSTREAM_TIME = "larder_upstream_request_duration_seconds";
const times = (family, labels) => [["p50", 0.5], ["p99", 0.99], ["p99.9", 0.999]].map(([name, q]) => line(name, quantile(q, family, labels)));
// A line for each value of a label.
const each = (family, label, of) => (values) => {
  const names = samplesOf(values, family).map((sample) => sample.labels[label]);
  return [...new Set(names)].map((name) => line(name, of({[label]: name})));
};
// The same, those with the largest totals first.
const largest = (family, label, of) => (values) => {
  const total = (line) => sum(values, family, {[label]: line.name});
  return each(family, label, of)(values).sort((a, b) => total(b) - total(a));
};
const commands = {title: "Requests by command", format: "rate", lines: largest("larder_commands_total", "command", (labels) => rate("larder_commands_total", labels))};
const connections = {title: "Connections", format: "count", lines: each("larder_connections", "state", (labels) => value("larder_connections", labels))};
const COMMON = [
  {title: "Network", format: "traffic", lines: () => [line("received", rate("larder_received_bytes_total")), line("sent", rate("larder_sent_bytes_total"))]},
  {title: "Processor, in cores", format: "cores", lines: () => [line("used", rate("process_cpu_seconds_total"))]},
];
const removed = (reason) => rate("larder_items_removed_total", {reason});
const hits = rate("larder_reads_total", {result: "hit"}), reads = rate("larder_reads_total");
const PLOTS = {
  serve: [
    {title: "Requests by protocol", format: "rate", lines: each("larder_requests_total", "protocol", (labels) => rate("larder_requests_total", labels))},
    commands,
    {title: "Hit ratio", format: "percent", most: 100, lines: () => [line("hits", part(hits, reads))]},
    {title: "Latency in the server", format: "seconds", isLog: true, needs: REQUEST_TIME + "_count", lines: () => times(REQUEST_TIME)},
    {title: "Memory of items", format: "bytes", lines: () => [line("used", value("larder_memory_used_bytes")), line("limit", value("larder_memory_limit_bytes"))]},
    {title: "Items removed", format: "rate", lines: () => [line("evicted", removed("evicted")), line("expired", removed("expired"))]},
    connections, ...COMMON,
  ],
  proxy: [
    commands,
    {title: "Latency for clients", format: "seconds", isLog: true, lines: () => times(REQUEST_TIME)},
    {title: "Errors answered", format: "rate", lines: each("larder_request_errors_total", "source", (labels) => rate("larder_request_errors_total", labels))},
    {title: "Requests by server", format: "rate", lines: each("larder_upstream_up", "server", (labels) => rate("larder_upstream_requests_total", labels))},
    {title: "Latency of all servers", format: "seconds", isLog: true, lines: () => times(UPSTREAM_TIME)},
    {title: "Latency by server, p99", format: "seconds", isLog: true, lines: each("larder_upstream_up", "server", (labels) => quantile(0.99, UPSTREAM_TIME, labels))},
    {title: "Errors by server", format: "rate", lines: each("larder_upstream_up", "server", (labels) => rate("larder_upstream_errors_total", labels))},
    {title: "Requests without their answer", format: "count", lines: each("larder_upstream_up", "server", (labels) => value("larder_upstream_requests_waiting", labels))},
    connections, ...COMMON,
  ],
  invalidate: [
    commands,
    {title: "Changes", format: "rate", lines: () => [line("accepted", rate("larder_invalidations_accepted_total")), line("refused", rate("larder_invalidations_refused_total"))]},
    {title: "Deletes delivered by server", format: "rate", lines: each("larder_target_up", "server", (labels) => rate("larder_target_delivered_total", labels))},
    {title: "Waiting deletes by server", format: "count", lines: each("larder_target_up", "server", (labels) => value("larder_target_waiting", labels))},
    {title: "Forwarded reads by server", format: "rate", needs: "larder_upstream_up", lines: each("larder_upstream_up", "server", (labels) => rate("larder_upstream_requests_total", labels))},
    {title: "Age of the oldest waiting delete", format: "seconds", lines: each("larder_target_up", "server", (labels) => value("larder_target_oldest_seconds", labels))},
    connections, ...COMMON,
  ],
};
const UP = (family) => ({head: "state", of: value(family), shown: (up) => up === 1 ? "up" : "down", isBad: (up) => up !== 1});
const TABLES = {
  proxy: {family: "larder_upstream_up", columns: (labels) => [
    {...UP("larder_upstream_up"), of: value("larder_upstream_up", labels)},
    {head: "requests", format: "rate", of: rate("larder_upstream_requests_total", labels)},
    {head: "p50", format: "seconds", of: quantile(0.5, UPSTREAM_TIME, labels)},
    {head: "p99", format: "seconds", of: quantile(0.99, UPSTREAM_TIME, labels)},
    {head: "errors", format: "count", of: value("larder_upstream_errors_total", labels)},
    {head: "ejections", format: "count", of: value("larder_upstream_ejections_total", labels)},
    {head: "connections", format: "count", of: value("larder_upstream_connections", labels)},
  ]},
  invalidate: {family: "larder_target_up", columns: (labels) => [
    {...UP("larder_target_up"), of: value("larder_target_up", labels)},
    {head: "waiting", format: "count", of: value("larder_target_waiting", labels)},
    {head: "oldest", format: "seconds", of: value("larder_target_oldest_seconds", labels)},
    {head: "delivered", format: "rate", of: rate("larder_target_delivered_total", labels)},
    {head: "retries", format: "count", of: value("larder_target_retries_total", labels)},
    {head: "flushes", format: "count", of: value("larder_target_flushes_total", labels)},
  ]},
};

// --- drawing

const byId = (id) => document.getElementById(id);
function element(name, attributes = {}, ...children) {
  const isSvg = ["svg", "path", "line", "text"].includes(name);
  const made = isSvg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// Points of a line within the shown time: [time, number or null]. A gap ends the line, and so does a restart.
function pointsOf(of, from) {
  const points = [];
  for (let index = 1; index < history.length; index += 1) {
    const [before, now] = [history[index - 1], history[index]];
    const isGap = now.at - before.at > GAP_MS || now.run !== before.run;
    if (now.at >= from) points.push([now.at, isGap ? null : of(before, now)]);
  }
  return points;
}

function path(points, x, y) {
  let text = "", isDrawing = false;
  for (const [at, number] of points) {
    if (number !== null) text += `${isDrawing ? "L" : "M"}${x(at).toFixed(1)} ${y(number).toFixed(1)}`;
    isDrawing = number !== null;
  }
  return text;
}

function card(plot) {
  const svg = element("svg", {viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img"});
  const legend = element("ul", {class: "legend"});
  const made = element("section", {class: "card"}, element("h2", {}, plot.title), svg, legend);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect(), [from, to] = shownTime();
    const width = svg.viewBox.baseVal.width, x = (event.clientX - box.x) * width / box.width;
    pointed = from + (to - from) * (x - LEFT) / (width - LEFT - RIGHT);
    draw();
  });
  svg.addEventListener("pointerleave", () => { pointed = null; draw(); });
  return {made, svg, legend};
}

// The shown time: the one that was chosen, but no more than there is, and at least a minute.
function shownTime() {
  const chosen = Number(document.querySelector("input[name=span]:checked").value) * 1000, to = history.at(-1).at;
  return [to - Math.min(chosen, Math.max(to - history[0].at, 60000)), to];
}

// The scale of a plot: the numbers that have a line across it, and the share of the height that a number has.
function scaleOf(plot, numbers) {
  const least = Math.min(...numbers.filter((number) => number > 0)), most = Math.max(0, ...numbers);
  if (plot.isLog && most > 0) {
    const low = 10 ** Math.floor(Math.log10(least)), high = 10 ** Math.max(Math.ceil(Math.log10(most)), Math.log10(low) + 1);
    const share = (number) => Math.log(Math.max(number, low) / low) / Math.log(high / low);
    const decades = Array.from({length: Math.round(Math.log10(high / low)) + 1}, (_, index) => low * 10 ** index);
    return {ticks: decades, share};
  }
  const top = plot.most ?? roundUp(most, plot.format);
  return {ticks: [0, top / 2, top], share: (number) => Math.min(number / top, 1)};
}

function drawPlot(plot, {made, svg, legend}) {
  const values = history.at(-1).values, [from, to] = shownTime();
  made.hidden = plot.needs !== undefined && sum(values, plot.needs) === null;
  const all = plot.lines(values), lines = all.slice(0, MOST_LINES);
  const drawn = lines.map((line) => ({...line, points: pointsOf(line.of, from)}));
  const {ticks, share} = scaleOf(plot, drawn.flatMap((line) => line.points.map(([, number]) => number ?? 0)));
  // Text and widths of lines keep their form: the drawing has the size of its place.
  const width = svg.clientWidth || WIDTH, height = svg.clientHeight || HEIGHT;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const x = (at) => LEFT + (width - LEFT - RIGHT) * (at - from) / (to - from);
  const y = (number) => height - BOTTOM - (height - TOP - BOTTOM) * share(number);
  const parts = [];
  for (const tick of ticks) {
    const at = y(tick);
    parts.push(element("line", {class: "grid", x1: LEFT, x2: width - RIGHT, y1: at, y2: at}));
    parts.push(element("text", {x: LEFT - 6, y: at + 4, "text-anchor": "end"}, show(tick, plot.format)));
  }
  const ago = `${span((to - from) / 1000)} ago`;
  parts.push(element("text", {x: LEFT, y: height - 4}, ago));
  parts.push(element("text", {x: width - RIGHT, y: height - 4, "text-anchor": "end"}, "now"));
  drawn.forEach((line, index) => {
    parts.push(element("path", {class: `line line-${index + 1} dash-${index + 1}`, d: path(line.points, x, y)}));
  });
  const moment = pointed === null ? to : Math.min(Math.max(pointed, from), to);
  if (pointed !== null) parts.push(element("line", {class: "cursor", x1: x(moment), x2: x(moment), y1: TOP, y2: height - BOTTOM}));
  svg.replaceChildren(...parts);
  const entries = drawn.map((line, index) => {
    const near = line.points.findLast(([at]) => at <= moment);
    const sample = element("path", {class: `line line-${index + 1} dash-${index + 1}`, d: "M0 4L26 4"});
    const shown = show(near?.[1], plot.format);
    return {text: `${line.name} ${shown}`, entry: element("li", {}, element("svg", {"aria-hidden": "true"}, sample), `${line.name} `, element("b", {}, shown))};
  });
  legend.replaceChildren(...entries.map(({entry}) => entry));
  if (all.length > lines.length) legend.append(element("li", {}, `and ${all.length - lines.length} more`));
  svg.setAttribute("aria-label", `${plot.title}: ${entries.map(({text}) => text).join(", ")}`);
}

function drawTable({family, columns}) {
  const now = history.at(-1), last = history.at(-2), before = last?.run === now.run ? last : now;
  const servers = samplesOf(now.values, family).map((sample) => sample.labels);
  const name = ({target, server}) => target ? `${target}: ${server}` : server;
  const heads = columns({}).map(({head}) => element("th", {scope: "col"}, head));
  const rows = servers.map((labels) => element("tr", {}, element("th", {scope: "row"}, name(labels)), ...columns(labels).map((column) => {
    const number = column.of(before, now);
    const isBad = column.isBad?.(number);
    return element("td", isBad ? {class: "bad"} : {}, column.shown ? column.shown(number) : show(number, column.format));
  })));
  document.querySelector("#servers thead tr").replaceChildren(element("th", {scope: "col"}, "server"), ...heads);
  document.querySelector("#servers tbody").replaceChildren(...rows);
}

// The busiest commands of the shown time, or since a restart in it. Only a server measures their latencies.
function drawCommands(isTimed) {
  const [from] = shownTime(), now = history.at(-1), before = history.find(({at, run}) => at >= from && run === now.run);
  const all = before === now ? [] : commandsOf(before, now);
  const total = all.reduce((sum, {rate}) => sum + rate, 0);
  const heads = ["command", "protocol", "requests", "share", ...(isTimed ? ["p50", "p99"] : [])];
  const rows = all.slice(0, BUSIEST).map(({labels, rate}) => {
    const {command, protocol} = labels, time = (q) => quantile(q, "larder_command_duration_seconds", {command, protocol})(before, now);
    const cells = [protocol, show(rate, "rate"), show(100 * rate / total, "percent")];
    if (isTimed) cells.push(show(time(0.5), "seconds"), show(time(0.99), "seconds"));
    return element("tr", {}, element("th", {scope: "row"}, command), ...cells.map((text) => element("td", {}, text)));
  });
  document.querySelector("#commands thead tr").replaceChildren(...heads.map((head) => element("th", {scope: "col"}, head)));
  document.querySelector("#commands tbody").replaceChildren(...rows);
  byId("others").textContent = all.length > BUSIEST ? `and ${all.length - BUSIEST} more` : "";
  byId("commands").hidden = all.length === 0;
}

// A text that is read out when it changes.
function drawHealth() {
  const isHealthy = failure === null && sum(history.at(-1).values, "larder_healthy") === 1;
  const text = failure !== null ? `✗ no answer (${failure})` : isHealthy ? "✓ healthy" : "✗ not healthy";
  if (byId("health").textContent !== text) byId("health").textContent = text;
  byId("health").classList.toggle("bad", !isHealthy);
}

let cards = [], shownMode = null;
function draw() {
  if (failure !== null || history.length > 0) drawHealth();
  if (history.length === 0) return;
  const {at, values} = history.at(-1), [{labels: {mode, version}}] = samplesOf(values, "larder_build_info");
  if (mode !== shownMode) {
    cards = PLOTS[mode].map((plot) => [plot, card(plot)]);
    byId("plots").replaceChildren(...cards.map(([, {made}]) => made));
    byId("mode").textContent = shownMode = mode;
    document.title = `larder ${mode} on ${location.host}`;
  }
  const seconds = at / 1000 - sum(values, "process_start_time_seconds");
  const resident = sum(values, "process_resident_memory_bytes");
  byId("facts").textContent = [`version ${version}`, `up ${span(Math.max(0, Math.round(seconds)))}`, resident === null ? "" : `${show(resident, "bytes")} resident`].filter(Boolean).join(" · ");
  cards.forEach(([plot, card]) => drawPlot(plot, card));
  drawCommands(mode === "serve");
  byId("servers").hidden = TABLES[mode] === undefined;
  if (TABLES[mode]) drawTable(TABLES[mode]);
  if (history.length > 2) document.body.dataset.ready = "yes";
}

async function look() {
  try {
    const answer = await fetch("metrics", {signal: AbortSignal.timeout(10 * EVERY_MS)});
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const values = parse(await answer.text()), at = Date.now();
    while (history.length && (history[0].at < at - KEPT_MS || history.at(-1).at >= at)) history.shift();
    history.push(momentOf(history.at(-1), at, values));
    failure = null;
  } catch (error) {
    failure = error.message;
  }
  try {
    draw();
  } finally {
    setTimeout(look, EVERY_MS);
  }
}
byId("span").addEventListener("change", draw);
addEventListener("resize", draw);
look();
