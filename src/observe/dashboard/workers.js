// Apps with their generations and workers, and the workers that have ended.

import { nameOf } from "./history.js";
import { age, arrange, bytes, clock, duration, el, many, number, say } from "./text.js";

const section = document.querySelector("#workers");
const ends = document.querySelector("#ends");
const groups = new Map();
const lines = new Map();

const COLUMNS = ["Worker", "Process", "State", "Threads", "Requests", "Memory", "CPU", "Age"];

/** Shows what a report says; with `app`, of that one only. */
export function show(report, app) {
  const of = (one) => app === null || nameOf(one) === app;
  const order = report.apps.filter(of).map((group) => {
    const key = `${nameOf(group)} ${group.generation}`;
    if (!groups.has(key)) groups.set(key, new Group(group));
    groups.get(key).show(group, report.now_ms);
    return [key, groups.get(key).element];
  });
  for (const key of [...groups.keys()]) if (!order.some(([shown]) => shown === key)) groups.delete(key);
  arrange(section, order.map(([, element]) => element));

  const told = report.ends.filter(of);
  ends.hidden = !told.length;
  arrange(ends.querySelector("ol"), told.map(line));
  for (const key of [...lines.keys()]) if (!report.ends.some((end) => keyOf(end) === key)) lines.delete(key);
}

/** What a generation does, in a word. */
function stateOf({ draining, asleep, workers }) {
  if (draining) return "draining";
  // The next request starts a worker.
  if (asleep) return "asleep";
  return workers.some(({ state }) => state === "ready" || state === "stuck") ? "serving" : "starting";
}

/** A card with the workers of one generation. */
class Group {
  #rows = new Map();

  constructor(group) {
    const id = `group-${Group.made++}`;
    this.state = el("span", { class: "state" });
    this.facts = el("p", { class: "facts" });
    this.body = el("tbody", { role: "rowgroup" });
    const title = el("h2", { id }, nameOf(group), " ", el("span", { class: "generation" }, `generation ${group.generation}`), " ", this.state);
    const head = COLUMNS.map((label, at) => el("th", { role: "columnheader", scope: "col", class: at > 3 ? "number" : "" }, label));
    const table = el(
      "table",
      { role: "table", "aria-labelledby": id },
      el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...head)),
      this.body,
    );
    this.element = el("article", { class: "card group", "aria-labelledby": id }, title, this.facts, table);
  }

  show(group, now) {
    const state = stateOf(group);
    this.element.dataset.state = state;
    say(this.state, state);
    const [busy, threads] = ["busy", "threads"].map((key) => group.workers.reduce((sum, worker) => sum + worker[key], 0));
    const waits = group.waiting ? `, ${group.waiting} waiting, the first for ${duration(group.waiting_ms)}` : "";
    const { workers_min: min, workers_max: max } = group;
    const range = min === max ? "" : ` of ${min} to ${max}`;
    say(this.facts, `${many(group.workers.length, "worker")}${range}, ${busy} of ${many(threads, "thread")} busy${waits}`);
    const rows = group.workers.map((worker) => {
      const row = this.#rows.get(worker.worker) ?? new WorkerRow();
      this.#rows.set(worker.worker, row);
      row.show(worker, now);
      return row.element;
    });
    for (const key of [...this.#rows.keys()]) if (!group.workers.some(({ worker }) => worker === key)) this.#rows.delete(key);
    arrange(this.body, rows);
  }

  static made = 0;
}

class WorkerRow {
  #before = null;

  constructor() {
    this.cells = COLUMNS.map((label, at) => el("td", { role: "cell", "data-label": label, class: at > 3 ? "number" : "" }));
    this.meter = el("span", { class: "threads" });
    this.cells[3].append(this.meter);
    this.element = el("tr", { role: "row" }, ...this.cells);
  }

  show(worker, now) {
    const [name, process, state, , requests, memory, cpu, since] = this.cells;
    this.element.dataset.state = worker.state;
    say(name, `${worker.worker}`);
    say(process, `${worker.pid}`);
    say(state, worker.state);
    say(requests, number(worker.served));
    say(memory, worker.memory === null ? "–" : bytes(worker.memory));
    const parts = Math.min(worker.threads, 16);
    while (this.meter.children.length < parts) this.meter.append(el("i"));
    const share = (worker.busy / worker.threads) * parts;
    [...this.meter.children].forEach((part, at) => part.classList.toggle("busy", at < share));
    this.meter.setAttribute("role", "img");
    this.meter.setAttribute("aria-label", `${worker.busy} of ${worker.threads} busy`);
    this.meter.title = `${worker.busy} of ${worker.threads} busy`;
    say(since, age(worker.age_ms));
    // The kernel counts in steps of 10 ms: a second is 1 % fine.
    if (this.#before && worker.cpu_ms !== null) {
      const share = ((worker.cpu_ms - this.#before.cpu) / Math.max(1, now - this.#before.now)) * 100;
      say(cpu, `${Math.max(0, share).toFixed(0)} %`);
    } else {
      say(cpu, "–");
    }
    this.#before = { cpu: worker.cpu_ms, now };
  }
}

const keyOf = (end) => `${end.at_ms} ${end.worker}`;

/** One worker's end, which does not change any more. */
function line(end) {
  const known = lines.get(keyOf(end));
  if (known) return known;
  const who = `${end.app ? `${end.app} ` : ""}worker ${end.worker}`;
  const made = el(
    "li",
    { class: end.expected && !end.requests ? "expected" : "died" },
    el("time", { datetime: new Date(end.at_ms).toISOString() }, clock(end.at_ms)),
    el("span", { class: "who" }, who, el("small", {}, `process ${end.pid}, generation ${end.generation}`)),
    el("span", { class: "cause" }, end.expected ? `told to go (${end.cause})` : end.cause),
  );
  if (end.requests) made.append(el("bdi", { class: "took" }, end.requests));
  lines.set(keyOf(end), made);
  return made;
}
