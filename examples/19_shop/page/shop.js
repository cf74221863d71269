"use strict";
// The page's script. Everything that comes from the server is set as text, so a product's name can't become a part of the
// page. With #visit or #compare behind the address, that button is pressed at the start.

const $ = (id) => document.getElementById(id);
const SOURCES = ["cache", "read-through", "database"];
const LISTED = 400; // as many as the server lists
const COMPARED = 40; // reads of each half of a comparison
const reads = []; // the last reads: [product, source, microseconds]
let names = new Map();
let seen = 0;
let cacheIsOn = true;
let visitors = 0; // counts up when they come and when they go: odd while they are there

const ms = (micros) => (micros === undefined ? "–" : `${(micros / 1000).toFixed(micros < 10000 ? 2 : 0)} ms`);
const sorted = (numbers) => numbers.slice().sort((a, b) => a - b);
const quantile = (numbers, part) => sorted(numbers)[Math.min(numbers.length - 1, Math.floor(part * numbers.length))];

async function ask(path, form) {
  const options = form && { method: "POST", body: new URLSearchParams(form) };
  const response = await fetch(path, options);
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

// Runs what a button starts; a failure is shown on the page.
function run(action) {
  action().then(() => { $("problem").hidden = true; }, (error) => {
    $("problem").textContent = `That failed: ${error.message}`;
    $("problem").hidden = false;
  });
}

async function show() {
  const { product, source, micros, age_ms } = await ask(`/products/${$("number").value}`);
  $("name").textContent = product.name;
  $("price").textContent = (product.price / 100).toFixed(2);
  $("sold").textContent = product.sold ?? 0;
  $("together").textContent = product.together.map((id) => names.get(id)).join(", ");
  $("source").textContent = source;
  $("source").className = `source ${source}`;
  $("took").textContent = `in ${ms(micros)}`;
  $("age").textContent = `${(age_ms / 1000).toFixed(1)} s ago`;
  $("new-price").value ||= $("price").textContent;
}

async function change() {
  const { price, invalidation } = await ask(`/products/${$("number").value}`, { price: $("new-price").value });
  $("changed").textContent = `${(price / 100).toFixed(2)} in the database; its invalidation ${invalidation === "recorded" ? "is recorded" : invalidation}`;
}

async function turn(on) {
  await ask("/cache", { state: on ? "on" : "off" });
  await live();
}

// Few products get most of the visits, as in a real shop.
const popular = (products) => 1 + Math.floor(products * Math.random() ** 3);

async function visit(turnOfVisitors) {
  while (visitors === turnOfVisitors) {
    await ask(`/products/${popular($("number").length)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function compare() {
  const before = cacheIsOn;
  const micros = {};
  for (const on of [false, true]) {
    await turn(on);
    micros[on] = [];
    for (let n = 0; n < COMPARED; n += 1) micros[on].push((await ask(`/products/${1 + (n % 10)}`)).micros);
  }
  await turn(before);
  $("comparison").textContent = `${COMPARED} reads of 10 products each: median ${ms(quantile(micros[false], 0.5))} without the cache, ${ms(quantile(micros[true], 0.5))} with it`;
}

async function live() {
  const figures = await ask(`/live?after=${seen}`);
  // Another answer may have brought these reads already.
  reads.push(...figures.last.slice(Math.max(0, figures.last.length - Math.max(0, figures.reads - seen))));
  reads.splice(0, Math.max(0, reads.length - LISTED));
  seen = Math.max(seen, figures.reads);
  cacheIsOn = figures.cache_is_on;
  $("switch").textContent = `Cache is ${cacheIsOn ? "on" : "off"}`;
  $("switch").setAttribute("aria-pressed", cacheIsOn);
  for (const source of SOURCES) {
    const of = reads.filter((read) => read[1] === source).map((read) => read[2]);
    $(`count-${source}`).textContent = figures[source.replace("-", "_")];
    $(`median-${source}`).textContent = ms(quantile(of, 0.5));
    $(`tail-${source}`).textContent = ms(quantile(of, 0.99));
  }
  $("ratio").textContent = figures.reads ? `${((100 * figures.cache) / figures.reads).toFixed(0)}%` : "–";
  $("changes").textContent = figures.changes;
  $("outbox").textContent = figures.outbox;
  $("items").textContent = figures.larder?.items ?? "no";
  $("fetches").textContent = figures.larder?.fetches ?? "an unknown number of";
  plot();
}

function plot() {
  const width = Math.max(320, $("plot").clientWidth);
  $("plot").setAttribute("viewBox", `0 0 ${width} 260`);
  const [left, right, top, bottom] = [70, width - 10, 10, 230];
  const draw = (name, attributes, words) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (words) element.textContent = words;
    return element;
  };
  // From 0.1 ms to 1 s, a factor of ten every quarter of the height.
  const y = (micros) => bottom - ((bottom - top) * Math.log10(Math.min(Math.max(micros, 100), 1e6) / 100)) / 4;
  const lines = [100, 1000, 10000, 100000, 1000000].flatMap((micros) => [
    draw("line", { x1: left, x2: right, y1: y(micros), y2: y(micros) }),
    draw("text", { x: left - 8, y: y(micros) + 5, "text-anchor": "end" }, `${micros / 1000} ms`),
  ]);
  const places = Math.max(reads.length, 100);
  const points = reads.map(([product, source, micros], n) => {
    const point = draw("circle", { cx: left + 6 + ((right - left - 12) * n) / places, cy: y(micros), r: 3, class: source });
    point.append(draw("title", {}, `product ${product}: ${source}, ${ms(micros)}`));
    return point;
  });
  let x = left;
  const legend = SOURCES.map((source) => {
    const words = draw("text", { x, y: 254, class: source }, `● ${source}`);
    x += 34 + 8 * source.length;
    return words;
  });
  $("plot").replaceChildren(...lines, ...points, ...legend, draw("text", { x: right, y: 254, "text-anchor": "end" }, "→ newer"));
}

async function start() {
  names = new Map(await ask("/products"));
  $("number").replaceChildren(...[...names].map(([id, name]) => new Option(`${id} · ${name}`, id)));
  await show();
  await live();
  document.body.dataset.ready = "yes";
}

const press = (name) => (event) => { event.preventDefault(); run(name); };
$("choose").addEventListener("submit", press(async () => { $("new-price").value = ""; await show(); await live(); }));
$("number").addEventListener("change", press(async () => { $("new-price").value = ""; await show(); await live(); }));
$("change").addEventListener("submit", press(async () => { await change(); await show(); await live(); }));
$("switch").addEventListener("click", press(() => turn(!cacheIsOn)));
$("compare").addEventListener("click", press(compare));
$("visit").addEventListener("click", press(async () => {
  visitors += 1;
  const there = visitors % 2 === 1;
  $("visit").setAttribute("aria-pressed", there);
  if (there) await Promise.all(Array.from({ length: 4 }, () => visit(visitors)));
}));
run(async () => {
  await start();
  if (["#visit", "#compare"].includes(location.hash)) $(location.hash.slice(1)).click();
  // One poll at a time, also when the server is slow or away.
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    await live().catch(() => {});
  }
});
