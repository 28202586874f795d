"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const main = document.querySelector("main");
const SVG = "http://www.w3.org/2000/svg";

// ---- elements ----

// An element with attributes and children; texts become text nodes and never markup.
function make(name, attributes, ...children) {
  const drawn = ["svg", "g", "line", "rect", "circle", "text", "path", "title"].includes(name);
  const element = drawn ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined));
  return element;
}
const whole = new Intl.NumberFormat("en");
const count = (number) => whole.format(number);
const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
const ms = (us) => (us / 1000).toFixed(1);
const cell = (content, isNumber) => make("td", { class: isNumber ? "number" : null }, content ?? "");
function table(heads, rows) {
  const head = heads.map((name) => make("th", { scope: "col", class: name.startsWith("#") ? "number" : null }, name.replace("#", "")));
  return make("table", {}, make("thead", {}, make("tr", {}, head)), make("tbody", {}, rows));
}
function copied(text) {
  const button = make("button", { type: "button", onclick: () => {
    const done = () => { button.textContent = "copied"; setTimeout(() => { button.textContent = "copy"; }, 1200); };
    if (navigator.clipboard) navigator.clipboard.writeText(text).then(done, () => {});
  } }, "copy");
  return make("div", { class: "bar" }, make("pre", { style: "flex: 1" }, text), button);
}
function filtered(label, rows, words) {
  const shown = make("span", { class: "soft" }, plural(rows.length, "row"));
  const input = make("input", { type: "search", placeholder: label, "aria-label": label, oninput: () => {
    const asked = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let left = 0;
    rows.forEach((row, place) => {
      row.hidden = !asked.every((word) => words[place].includes(word));
      left += row.hidden ? 0 : 1;
    });
    shown.textContent = plural(left, "row");
  } });
  return make("div", { class: "bar" }, input, shown);
}
// A row that is chosen by a click or by the keyboard.
function choice(row, choose) {
  row.classList.add("choice");
  row.tabIndex = 0;
  row.addEventListener("click", choose);
  row.addEventListener("keydown", (event) => { if (event.key === "Enter") choose(); });
  return row;
}

// ---- parts ----

const parts = [];
if (data.sweep) parts.push(["sweep", "Sweep", sweepPart]);
if (data.sweep) parts.push(["failures", `Failures (${data.sweep.report.failures.length})`, failuresPart]);
data.runs.forEach((run, place) => parts.push([`run-${place}`, run.label, () => runPart(run)]));
if (data.cases) parts.push(["cases", "Documented cases", casesPart]);
if (data.benchmarks) parts.push(["benchmarks", "Benchmarks", benchmarksPart]);

function sweepPart() {
  const { sweep } = data;
  const { report } = sweep;
  const failed = report.seeds - report.passed;
  const isGood = failed === 0 && report.cases.failed === 0 && !report.missing_shards;
  const tile = (value, name, mood) => make("div", { class: "tile" }, make("b", { class: mood }, value), make("span", {}, name));
  const reached = Object.values(report.sometimes).filter((seeds) => seeds > 0).length;
  const all = Object.keys(report.sometimes).length;
  const tiles = [
    tile(isGood ? "PASS" : "FAIL", "verdict", isGood ? "good" : "bad"),
    tile(`${count(report.passed)} / ${count(report.seeds)}`, "generated seeds passed", failed ? "bad" : null),
    report.cases.passed + report.cases.failed ? tile(`${report.cases.passed} / ${report.cases.passed + report.cases.failed}`, "documented cases passed", report.cases.failed ? "bad" : null) : null,
    tile(`${count(report.determinism.checked)}`, `seeds run twice, ${report.determinism.mismatches} differ`, report.determinism.mismatches ? "bad" : null),
    tile(`${reached} / ${all}`, "situations reached", reached < all ? "warn" : "good"),
    tile(count(Object.values(report.faults).reduce((sum, fired) => sum + fired, 0)), "faults fired"),
    tile(count(Math.round(report.seeds_per_second)), "seeds a second"),
    tile(`${count(Math.round(report.simulated_seconds))} s`, "simulated"),
  ];
  const page = [make("h2", {}, "The sweep"), make("div", { class: "tiles" }, tiles)];
  const facts = {
    seeds: `${count(sweep.seeds[0])} to ${count(sweep.seeds[1] - 1)}, profile ${sweep.profile}, store ${sweep.store}` + (sweep.bug ? `, planted bug ${sweep.bug}` : ""),
    "a typical run": `${report.profile.steps} steps, ${report.profile.replicas} replicas, ${report.profile.faults} faults, ${report.profile.concurrent_losses} concurrent losses (medians)`,
    "results digest": report.results_digest,
  };
  if (report.missing_shards) facts["missing shards"] = `${report.missing_shards.join(", ")}: nothing is known of their seeds`;
  page.push(facts_list(facts));
  page.push(make("h2", {}, "Time per seed"), histogram(sweep.times), slowest(sweep.slowest));
  const faults = Object.entries(report.faults).sort((one, other) => other[1] - one[1]);
  const situations = Object.entries(report.sometimes).filter(([name]) => !(name in report.faults)).sort((one, other) => one[1] - other[1]);
  page.push(make("h2", {}, "Situations reached, by seeds, the rarest first"), counts(situations, report.seeds, "filter situations"));
  page.push(make("h2", {}, "Faults fired"), counts(faults, Math.max(1, ...faults.map(([, fired]) => fired)), "filter faults"));
  return page;
}
function facts_list(facts) {
  return make("dl", { class: "grid" }, Object.entries(facts).filter(([, value]) => value).map(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
}
function counts(entries, most, label) {
  const rows = entries.map(([name, number]) => make("div", { class: "count", title: `${name}: ${count(number)}` },
    make("span", { class: number ? "" : "warn" }, name.replaceAll("_", " ")),
    make("meter", { min: 0, max: most, value: number, "aria-label": name }), make("span", { class: number ? "" : "warn" }, count(number))));
  return make("div", {}, filtered(label, rows, entries.map(([name]) => `${name} ${name.replaceAll("_", " ")}`.toLowerCase())), make("div", { class: "counts" }, rows));
}
function histogram(times) {
  if (!times.length) return make("p", { class: "soft" }, "No seed was timed.");
  const [width, height, most] = [56, 90, Math.max(...times.map(([, seeds]) => seeds))];
  const bars = times.flatMap(([upTo, seeds], place) => {
    const [x, tall] = [place * width, Math.max(seeds ? 2 : 0, (seeds / most) * height)];
    const label = upTo < 10 ? upTo.toFixed(1) : Math.round(upTo);
    return [make("rect", { class: "column", x: x + 3, y: 20 + height - tall, width: width - 6, height: tall, rx: 2 }, make("title", {}, `${plural(seeds, "seed")} took up to ${label} ms`)),
      make("text", { class: "label", x: x + width / 2, y: 14 + height - tall, "text-anchor": "middle" }, seeds ? count(seeds) : ""),
      make("text", { class: "label", x: x + width / 2, y: 36 + height, "text-anchor": "middle" }, `≤ ${label}`)];
  });
  const size = times.length * width + 60;
  const unit = make("text", { class: "label", x: times.length * width + 6, y: 36 + height }, "ms");
  return make("svg", { width: size, height: height + 44, viewBox: `0 0 ${size} ${height + 44}`, role: "img", "aria-label": "How many seeds took how long" }, bars, unit);
}
function slowest(rows) {
  const lines = rows.map(([seed, took, events]) => make("tr", {}, cell(count(seed), true), cell(count(took), true), cell(count(events), true)));
  return make("details", {}, make("summary", {}, "the slowest seeds"), table(["#seed", "#ms", "#events"], lines));
}

function failuresPart() {
  const { signatures, report } = data.sweep;
  if (!signatures.length) {
    return [make("h2", {}, "Failures"), make("p", {}, `None: every one of ${plural(report.seeds, "seed")} passed.`)];
  }
  const rows = signatures.map((entry) => {
    const place = data.runs.findIndex((run) => run.signature === entry.signature);
    const seeds = entry.seeds.join(", ") + (entry.count > entry.seeds.length ? ", …" : "");
    const row = make("tr", {}, cell(count(entry.count), true), cell(entry.class), cell(entry.property ?? ""),
      make("td", {}, make("div", {}, entry.message), entry.sentence ? make("div", { class: "soft" }, `Should hold: ${entry.sentence}`) : null,
        make("code", {}, entry.replay)), cell(seeds));
    return place >= 0 ? choice(row, () => { location.hash = `run-${place}`; }) : row;
  });
  const words = signatures.map((entry) => `${entry.signature} ${entry.message} ${entry.seeds.join(" ")}`.toLowerCase());
  return [make("h2", {}, "Failures by signature"), make("p", { class: "soft" }, "One line for all failures that are likely one bug. A line with a run opens it."),
    filtered("filter failures", rows, words), table(["#failures", "class", "property", "what is wrong", "seeds"], rows)];
}

function casesPart() {
  const rows = data.cases.map((entry) => {
    const mood = { pass: "good", fail: "bad", missing: "warn", later: "soft" }[entry.verdict];
    const shown = entry.scenarios.map((scenario) => make("li", { class: scenario.failed ? "bad" : null }, make("code", {}, scenario.name), ` ${scenario.story}`));
    const more = [
      entry.clauses.length ? make("details", {}, make("summary", {}, plural(entry.clauses.length, "clause")), make("ul", { class: "clauses" }, entry.clauses.map((clause) => make("li", {}, clause)))) : null,
      shown.length ? make("details", {}, make("summary", {}, plural(shown.length, "scenario")), make("ul", { class: "clauses" }, shown)) : null,
      entry.reason ? make("div", { class: mood }, entry.reason) : null,
      entry.measured ? make("div", { class: "soft" }, `measured ${entry.measured}, limit ${entry.limit}`) : null,
    ];
    return make("tr", {}, make("td", { class: "mono" }, entry.id), make("td", { class: mood }, entry.verdict), cell(entry.document),
      make("td", {}, entry.requirement, more), cell(entry.stores.join(", ")));
  });
  const words = data.cases.map((entry) => [entry.id, entry.verdict, entry.document, entry.requirement, ...entry.clauses, ...entry.scenarios.map((scenario) => scenario.name)].join(" ").toLowerCase());
  const verdicts = ["pass", "fail", "missing", "later"].map((verdict) => `${data.cases.filter((entry) => entry.verdict === verdict).length} ${verdict}`);
  return [make("h2", {}, "Documented cases"), make("p", { class: "soft" }, verdicts.join(" · ")),
    filtered("filter cases, for example: DDL missing", rows, words), table(["case", "verdict", "document", "what must hold", "stores"], rows)];
}

const time = (ns) => ns < 1e3 ? `${ns.toFixed(0)} ns` : ns < 1e6 ? `${(ns / 1e3).toFixed(1)} µs` : `${(ns / 1e6).toFixed(1)} ms`;
// A line through the medians, both axes by powers of ten; the dashed line is what cost in proportion to size would be.
function growthPlot({ group, name, points }) {
  const [left, top, width, height] = [64, 14, 380, 200];
  const bounds = (numbers) => {
    const [low, high] = [Math.floor(Math.log10(Math.min(...numbers))), Math.ceil(Math.log10(Math.max(...numbers)))];
    return [low, Math.max(high, low + 1)];
  };
  const [first, firstTime] = points[0];
  const [sizes, times] = [bounds(points.map(([size]) => size)), bounds(points.map(([, ns]) => ns))];
  const x = (size) => left + ((Math.log10(size) - sizes[0]) / (sizes[1] - sizes[0])) * width;
  const y = (ns) => top + height - ((Math.log10(ns) - times[0]) / (times[1] - times[0])) * height;
  const powers = ([low, high]) => Array.from({ length: high - low + 1 }, (_, place) => 10 ** (low + place));
  const grid = [
    ...powers(sizes).flatMap((size) => [make("line", { class: "grid-line", x1: x(size), x2: x(size), y1: top, y2: top + height }),
      make("text", { class: "label", x: x(size), y: top + height + 18, "text-anchor": "middle" }, count(size))]),
    ...powers(times).flatMap((ns) => [make("line", { class: "grid-line", x1: left, x2: left + width, y1: y(ns), y2: y(ns) }),
      make("text", { class: "label", x: left - 6, y: y(ns) + 4, "text-anchor": "end" }, time(ns))]),
  ];
  // Up to the edge of the plot that the proportion meets first.
  const reach = Math.min(points.at(-1)[0] / first, 10 ** times[1] / firstTime);
  const proportion = make("line", { class: "proportion", x1: x(first), y1: y(firstTime), x2: x(first * reach), y2: y(firstTime * reach) });
  const line = make("path", { class: "growth", d: points.map(([size, ns], place) => `${place ? "L" : "M"}${x(size)} ${y(ns)}`).join("") });
  const dots = points.map(([size, ns]) => make("circle", { class: "growth-dot", cx: x(size), cy: y(ns), r: 4 }, make("title", {}, `${count(size)}: ${time(ns)}`)));
  const [last, lastTime] = points.at(-1);
  const told = `${count(Math.round(last / first))}× the size takes ${(lastTime / firstTime).toFixed(1)}× the time`;
  const [wide, tall] = [left + width + 30, top + height + 26];
  return make("figure", {}, make("h3", {}, `${name}: ${group}`),
    make("svg", { width: wide, height: tall, viewBox: `0 0 ${wide} ${tall}`, role: "img", "aria-label": `${name}, ${group}: ${told}` }, grid, proportion, line, dots),
    make("figcaption", { class: "soft" }, `${told} (dashed: in proportion)`));
}
function benchmarksPart() {
  const plots = (data.growths ?? []).map(growthPlot);
  const rows = data.benchmarks.map(({ name, median_ns, between_ns }) =>
    make("tr", {}, cell(name), cell(time(median_ns), true), cell(`${time(between_ns[0])} to ${time(between_ns[1])}`, true)));
  return [make("h2", {}, "Benchmarks"), filtered("filter benchmarks", rows, data.benchmarks.map(({ name }) => name.toLowerCase())), table(["benchmark", "#median", "#between"], rows),
    ...(plots.length ? [make("h2", {}, "How cost grows"), make("div", { class: "plots" }, plots)] : [])];
}

// ---- one run ----

async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return JSON.parse(await new Response(stream).text());
}

function runPart(run) {
  const heading = run.class ? `${run.class.toUpperCase().replace("_", " ")}${run.property && run.property !== run.class ? `: ${run.property}` : ""}` : "PASS";
  const page = [make("h2", {}, make("span", { class: run.class ? "bad" : "good" }, heading), ` · ${run.label}`)];
  page.push(facts_list({ story: run.story, expected: run.expected, found: run.found, since: run.since }));
  if (run.details.length) page.push(make("pre", {}, run.details.join("\n")));
  if (run.differences.length) {
    const rows = run.differences.flatMap(({ place, sides }) => sides.map(([holders, value, written], number) =>
      make("tr", {}, number ? cell("") : cell(place), cell(holders), make("td", { class: "mono" }, value), cell(written))));
    page.push(make("h3", {}, "Who disagrees"), table(["where", "who", "holds", "because"], rows));
  }
  if (run.checks.length) {
    const rows = run.checks.map(({ clause, holds, found }) => make("tr", {}, make("td", { class: holds ? "good" : "bad" }, holds ? "✓" : "✗"), cell(clause), cell(found)));
    page.push(make("details", { open: run.checks.some(({ holds }) => !holds) }, make("summary", {}, plural(run.checks.length, "clause")), table(["", "clause", "found"], rows)));
  }
  if (run.replay) page.push(make("h3", {}, "Run it again"), copied(run.replay));
  const panes = make("div", {}, make("p", { class: "soft" }, "unpacking the history…"));
  page.push(make("h3", {}, "What happened"), panes);
  unpacked(run.history).then((history) => panes.replaceChildren(...diagram(run, history)),
    (error) => panes.replaceChildren(make("p", { class: "bad" }, `The history cannot be unpacked by this browser: ${error}`)));
  if (run.plan) {
    const steps = run.plan.map((step) => make("li", {}, step));
    const list = make("ol", { class: "mono" }, steps.slice(0, 500));
    page.push(make("h3", {}, `Plan: ${plural(run.plan.length, "step")}`),
      run.plan.length > 12 ? make("details", {}, make("summary", {}, "every step"), list) : list,
      make("details", {}, make("summary", {}, "as a file"), copied(run.plan_json)));
  }
  page.push(facts_list({ faults: run.faults, options: run.options, history: `${run.digest}, ${plural(run.events, "event")}` }));
  page.push(make("h3", {}, "How the schema came to be"), evolution(run), make("h3", {}, "Filters and indexes"), advice(run));
  return page;
}

function evolution(run) {
  const { versions, hosts } = run;
  if (!versions.length) return make("p", { class: "soft" }, "No schema operation was made.");
  const [step, row, left] = [90, 26, 40];
  const top = 24;
  const lanes = hosts.map((name, host) => [make("text", { class: "label", x: left + host * step, y: 14, "text-anchor": "middle" }, name),
    make("line", { class: "lane", x1: left + host * step, x2: left + host * step, y1: top, y2: top + versions.length * row })]);
  const marks = versions.map((version, place) => {
    const y = top + place * row + row / 2;
    const dots = version.reached_us.map((reached, host) => {
      const x = left + host * step;
      if (host === version.host) return make("circle", { class: "column", cx: x, cy: y, r: 6 }, make("title", {}, `${version.by} made it`));
      if (reached === null) return make("text", { class: "bad", x, y: y + 4, "text-anchor": "middle" }, "✗", make("title", {}, `${hosts[host]} never had it`));
      return make("circle", { class: "dot", cx: x, cy: y, r: 3 }, make("title", {}, `${hosts[host]} had it at ${ms(reached)} ms`));
    });
    const words = `${version.version}. ${version.operation}, by ${version.by} (${version.change})`;
    const touched = version.touched.length ? `touches ${version.touched.join("; ")}` : "";
    return [dots, make("text", { x: left + hosts.length * step - step / 2, y: y + 4 }, words, make("title", {}, `${words}\n${touched}`))];
  });
  const width = left + hosts.length * step + 760;
  const list = versions.filter(({ touched }) => touched.length).map(({ version, touched }) => make("tr", {}, cell(count(version), true), cell(touched.join("; "))));
  return make("div", {}, make("p", { class: "soft" }, "Each line is a version of the schema: the large dot is who made it, the small ones are those it reached."),
    make("div", { style: "overflow-x: auto; max-height: 34rem; overflow-y: auto" }, make("svg", { class: "versions", width, height: top + versions.length * row + 8, role: "img", "aria-label": "Versions of the schema and who made them" }, lanes, marks)),
    list.length ? make("details", {}, make("summary", {}, "what each touched where it was made"), table(["#version", "tables, rows and columns"], list)) : null);
}

function advice(run) {
  if (!run.advice.length) return make("p", { class: "soft" }, "No queries were given (--queries FILE). What the engine itself does, it does by primary key.");
  const rows = run.advice.map((entry) => make("tr", {}, cell(`${entry.table}.${entry.column}`), make("td", { class: "mono" }, entry.comparison), cell(count(entry.times), true), cell(count(entry.rows), true),
    make("td", { class: entry.served_by ? "good" : "warn" }, entry.served_by ? `served by ${entry.served_by}` : entry.advice)));
  return table(["filter", "comparison", "#times", "#rows", "advice"], rows);
}

// ---- the space–time diagram ----

const ROW = 20;
const [LOST, CUT, REPEATED, DAMAGED, REORDERED] = [1, 2, 4, 8, 16];
const BUCKET = 256;

function diagram(run, history) {
  const { rows, bands, divergence } = history;
  const hosts = run.hosts;
  const lane = hosts.length > 12 ? 34 : hosts.length > 6 ? 56 : 76;
  const left = 84;
  const [laneX, textX] = [(host) => left + host * lane + lane / 2, left + hosts.length * lane + 8];
  const arrows = arrowsOf(rows);
  const buckets = new Map();
  arrows.forEach((arrow) => {
    for (let bucket = Math.floor(arrow.from / BUCKET); bucket <= Math.floor(arrow.to / BUCKET); bucket += 1) {
      if (!buckets.has(bucket)) buckets.set(bucket, []);
      buckets.get(bucket).push(arrow);
    }
  });
  let chosen = divergence ?? Math.max(0, rows.length - 1);

  const svg = make("svg", { role: "img", "aria-label": "Space–time diagram: a lane per replica, time downwards" });
  const head = make("div", { style: "position: sticky; top: 0; z-index: 1; height: 24px; background: var(--raised); border-bottom: 1px solid var(--line)" });
  const ground = make("div", { style: "position: relative" });
  ground.style.height = `${rows.length * ROW}px`;
  svg.style.position = "absolute";
  const box = make("div", { class: "diagram", tabindex: 0, role: "application", "aria-label": "Space–time diagram; arrow keys choose a moment" }, head, ground);
  ground.append(svg);
  const state = make("aside", { class: "state", "aria-live": "polite" });
  const width = () => Math.max(box.clientWidth, textX + 420);
  const names = make("svg", { height: 24 }, make("text", { class: "label", x: 8, y: 16 }, "ms"),
    hosts.map((name, host) => make("text", { class: "label", x: laneX(host), y: 16, "text-anchor": "middle" }, hosts.length > 6 ? String(host) : name, make("title", {}, name))));
  names.style.position = "static";
  head.append(names);

  function draw(isPrinted) {
    const from = isPrinted ? 0 : Math.max(0, Math.floor(box.scrollTop / ROW) - 10);
    const to = isPrinted ? Math.min(rows.length, 1500) : Math.min(rows.length, from + Math.ceil((box.clientHeight || 600) / ROW) + 20);
    const wide = width();
    ground.style.width = `${wide}px`;
    head.style.width = `${wide}px`;
    names.setAttribute("width", wide);
    svg.style.top = `${from * ROW}px`;
    svg.setAttribute("width", wide);
    svg.setAttribute("height", Math.max(0, to - from) * ROW);
    svg.setAttribute("viewBox", `0 ${from * ROW} ${wide} ${Math.max(1, to - from) * ROW}`);
    const parts = [make("rect", { class: "chosen", x: 0, y: chosen * ROW, width: wide, height: ROW })];
    const middle = (row) => row * ROW + ROW / 2;
    for (const [host, first, last, kind] of bands) {
      if (last < from || first > to) continue;
      const [x, size] = host < 0 ? [left, hosts.length * lane] : [laneX(host) - lane / 2 + 4, lane - 8];
      parts.push(make("rect", { class: kind, x, y: middle(first), width: size, height: Math.max(3, (last - first) * ROW) }, make("title", {}, `${host < 0 ? "network" : hosts[host]}: ${kind}`)));
    }
    hosts.forEach((_, host) => parts.push(make("line", { class: "lane", x1: laneX(host), x2: laneX(host), y1: from * ROW, y2: to * ROW })));
    const near = new Set();
    for (let bucket = Math.floor(from / BUCKET); bucket <= Math.floor(to / BUCKET); bucket += 1) (buckets.get(bucket) || []).forEach((arrow) => near.add(arrow));
    for (const arrow of near) {
      if (arrow.to < from || arrow.from > to) continue;
      parts.push(drawArrow(arrow, laneX, middle, chosen));
    }
    for (let place = from; place < to; place += 1) parts.push(...drawRow(rows[place], place, middle));
    svg.replaceChildren(...parts);
  }
  function drawRow([at, kind, host, , number, , words], place, middle) {
    const y = middle(place) + 4;
    const time = place && rows[place - 1][0] === at ? "" : ms(at);
    const drawn = [make("text", { class: "soft", x: left - 14, y, "text-anchor": "end" }, time)];
    if (divergence === place) drawn.push(make("text", { class: "bad", x: 4, y }, "▶", make("title", {}, "from here on the sides differ for good")));
    const mark = kind === 0 ? String.fromCodePoint(number) : kind === 3 ? "✗" : "●";
    if (kind < 4) drawn.push(make("text", { class: mark === "✗" ? "bad" : null, x: laneX(host), y, "text-anchor": "middle" }, mark));
    const most = Math.max(20, Math.floor((width() - textX) / 7.3));
    const shown = words.length > most ? `${words.slice(0, most - 1)}…` : words;
    drawn.push(make("text", { class: kind === 4 ? "soft" : null, x: textX, y }, kind === 4 ? `═ ${shown}` : shown, make("title", {}, words)));
    return drawn;
  }
  function choose(place, isShown) {
    chosen = Math.min(rows.length - 1, Math.max(0, place));
    const [top, bottom] = [chosen * ROW, (chosen + 3) * ROW];
    if (isShown && (top < box.scrollTop + 2 * ROW || bottom > box.scrollTop + box.clientHeight)) box.scrollTop = top - box.clientHeight / 2;
    draw();
    state.replaceChildren(...stateAt(run, history, chosen));
  }
  box.addEventListener("scroll", () => requestAnimationFrame(() => draw()));
  new ResizeObserver(() => draw()).observe(box);
  svg.addEventListener("click", (event) => {
    choose(Math.floor((event.clientY - ground.getBoundingClientRect().top) / ROW), false);
    box.focus({ preventScroll: true });
  });
  const page = () => Math.floor(box.clientHeight / ROW) - 2;
  const next = (step, is) => { for (let place = chosen + step; place >= 0 && place < rows.length; place += step) if (is(rows[place])) return place; return chosen; };
  const isLoss = (row) => (row[5] & (LOST | CUT | REPEATED | DAMAGED)) > 0 || row[1] === 3;
  const keys = {
    ArrowDown: () => chosen + 1, j: () => chosen + 1, ArrowUp: () => chosen - 1, k: () => chosen - 1, PageDown: () => chosen + page(), PageUp: () => chosen - page(),
    Home: () => 0, End: () => rows.length - 1, d: () => divergence ?? chosen, n: () => next(1, isLoss), p: () => next(-1, isLoss),
  };
  box.addEventListener("keydown", (event) => {
    const key = keys[event.key];
    if (!key || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    choose(key(), true);
  });
  addEventListener("beforeprint", () => draw(true));
  addEventListener("afterprint", () => draw());
  const find = make("input", { type: "search", placeholder: "find an event (Enter: next)", "aria-label": "find an event", onkeydown: (event) => {
    if (event.key !== "Enter") return;
    const asked = find.value.toLowerCase();
    const hit = (row) => row[6].toLowerCase().includes(asked);
    const after = next(event.shiftKey ? -1 : 1, hit);
    choose(after === chosen && !hit(rows[chosen]) ? Math.max(0, rows.findIndex(hit)) : after, true);
  } });
  const jump = divergence === null || divergence === undefined ? null : make("button", { type: "button", onclick: () => choose(divergence, true) }, "first divergence");
  const key = (kind, words) => make("span", { class: "key" }, make("i", { style: `background: var(--${kind})` }), words);
  setTimeout(() => choose(chosen, true), 0);
  return [make("div", { class: "bar" }, find, jump, make("span", { class: "soft" }, `${plural(rows.length, "line")} `, make("kbd", {}, "↑"), make("kbd", {}, "↓"), " choose a moment ", make("kbd", {}, "n"), make("kbd", {}, "p"), " lost or repeated message")),
    make("div", {}, key("down", "down"), key("paused", "stands still"), key("offline", "offline"), key("split", "network split"), key("settling", "no more faults"),
      make("span", { class: "key" }, "┄ red: lost, cut or missed"), make("span", { class: "key" }, "yellow: arrives twice")),
    make("div", { class: "panes" }, box, state)];
}

// Sendings with their arrivals: the same link, the same number.
function arrowsOf(rows) {
  const arrivals = new Map();
  rows.forEach(([, kind, host, other, number], place) => {
    if (kind !== 2 && kind !== 3) return;
    const name = `${other}>${host}#${number}`;
    if (!arrivals.has(name)) arrivals.set(name, []);
    arrivals.get(name).push(place);
  });
  const arrows = [];
  rows.forEach(([, kind, host, other, number, bits], place) => {
    if (kind !== 1) return;
    const ends = arrivals.get(`${host}>${other}#${number}`) || [];
    if (!ends.length) arrows.push({ from: place, to: place, host, other, bits: bits || LOST, isStub: true });
    ends.forEach((end) => arrows.push({ from: place, to: end, host, other, bits, isMissed: rows[end][1] === 3 }));
  });
  return arrows;
}
function drawArrow({ from, to, host, other, bits, isStub, isMissed }, laneX, middle, chosen) {
  const [x1, x2, y1, y2] = [laneX(host), laneX(other), middle(from), middle(to)];
  const kinds = ["message"];
  if (isStub || isMissed || bits & (LOST | CUT | DAMAGED)) kinds.push("lost");
  else if (bits & REPEATED) kinds.push("repeated");
  if (chosen === from || chosen === to) kinds.push("near");
  const reach = isStub ? 0.55 : 1;
  const [ex, ey] = [x1 + (x2 - x1) * reach, isStub ? y1 : y2];
  const angle = Math.atan2(ey - y1, ex - x1);
  const [tx, ty] = [ex - Math.cos(angle) * (isStub ? 0 : 6), ey - Math.sin(angle) * (isStub ? 0 : 6)];
  const wing = (turn) => `M ${tx} ${ty} L ${tx - 7 * Math.cos(angle + turn)} ${ty - 7 * Math.sin(angle + turn)}`;
  const cross = `M ${ex - 4} ${ey - 4} L ${ex + 4} ${ey + 4} M ${ex - 4} ${ey + 4} L ${ex + 4} ${ey - 4}`;
  return make("path", { class: kinds.join(" "), d: `M ${x1} ${y1} L ${tx} ${ty} ${isStub ? cross : `${wing(0.45)} ${wing(-0.45)}`}` });
}

// ---- what every replica shows at a moment ----

function stateAt(run, history, moment) {
  const graphs = run.hosts.map(() => new Map());
  for (const [row, host, isNew, changes] of history.states) {
    if (row > moment) break;
    if (isNew) graphs[host].clear();
    for (const [name, cells] of changes) {
      if (cells) graphs[host].set(name, cells);
      else graphs[host].delete(name);
    }
  }
  const counts = run.hosts.map(() => [0, 0]);
  for (const [row, host, applied, pending] of history.counts) {
    if (row > moment) break;
    counts[host] = [applied, pending];
  }
  const mood = run.hosts.map((_, host) => history.bands.filter(([of, first, last, kind]) => of === host && first <= moment && moment < last && kind !== "settling").map(([, , , kind]) => kind).join(", ") || "up");
  const shown = (cells) => cells ? Object.entries(cells).map(([column, value]) => `${column}: ${value}`).join(", ") || "∅" : "absent";
  const names = [...new Set(graphs.flatMap((graph) => [...graph.keys()]))].sort();
  const all = names.map((name) => ({ name, values: graphs.map((graph) => shown(graph.get(name))) }));
  const differ = all.filter(({ values }) => new Set(values).size > 1);
  const same = all.filter(({ values }) => new Set(values).size === 1);
  // Replicas that show the same stand together.
  const sides = (values) => {
    const groups = new Map();
    values.forEach((value, host) => groups.set(value, [...(groups.get(value) || []), run.hosts[host]]));
    return [...groups].map(([value, hosts]) => make("div", {}, make("b", {}, hosts.join(", ")), " ", make("span", { class: "mono" }, value)));
  };
  const replicas = run.hosts.map((name, host) => make("tr", {}, cell(name), make("td", { class: mood[host] === "up" ? null : "warn" }, mood[host]), cell(count(counts[host][0]), true), cell(count(counts[host][1]), true), cell(count(graphs[host].size), true)));
  const [at, , , , , , words] = history.rows[moment] || [0, 0, 0, 0, 0, 0, ""];
  const most = 200;
  return [make("div", {}, make("b", {}, `${ms(at)} ms`), ` ${words}`), table(["replica", "is", "#applied", "#pending", "#rows"], replicas),
    make("h3", {}, differ.length ? `${plural(differ.length, "row")} shown differently` : "All show the same rows"),
    differ.length ? table(["row", "who shows what"], differ.slice(0, most).map(({ name, values }) => make("tr", { class: "differs" }, make("td", { class: "mono" }, name), make("td", {}, sides(values))))) : "",
    same.length ? make("details", {}, make("summary", {}, `${plural(same.length, "row")} shown equally`), table(["row", "values"], same.slice(0, most).map(({ name, values }) => make("tr", {}, make("td", { class: "mono" }, name), make("td", { class: "mono" }, values[0]))))) : ""];
}

// ---- navigation ----

function open() {
  const asked = location.hash.slice(1);
  const [id, , content] = parts.find(([id]) => id === asked) || parts[0] || [null, null, () => [make("p", {}, "There is nothing to show.")]];
  document.querySelectorAll("nav a").forEach((link) => {
    if (link.hash === `#${id}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  });
  main.replaceChildren(...content().filter(Boolean));
  scrollTo(0, 0);
}
document.querySelector("nav").append(...parts.map(([id, name]) => make("a", { href: `#${id}` }, name)));
document.querySelector("footer").append(`commit ${data.build.commit} · lock file ${data.build.lock} · `, make("code", {}, data.build.command));
addEventListener("hashchange", open);
addEventListener("keydown", (event) => {
  if (event.target.matches("input") || event.ctrlKey || event.metaKey || event.altKey) return;
  const place = parts.findIndex(([id]) => `#${id}` === (location.hash || `#${parts[0] && parts[0][0]}`));
  if (event.key === "/") { const input = main.querySelector("input"); if (input) { input.focus(); event.preventDefault(); } }
  if (event.key === "]" && parts[place + 1]) location.hash = parts[place + 1][0];
  if (event.key === "[" && parts[place - 1]) location.hash = parts[place - 1][0];
});
open();
