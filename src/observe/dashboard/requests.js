// The running requests, the stuck ones first to be seen, with their Python frames.

import { nameOf } from "./history.js";
import { arrange, duration, el, say } from "./text.js";

/** From this age on a request at an app thread is shown as stuck, in milliseconds. */
export const STUCK = 5000;

const section = document.querySelector("#requests");
const table = section.querySelector("table");
const none = section.querySelector(".none");
const count = section.querySelector(".count");
const bodies = new Map();

/** Shows what a report says; with `app`, of that one only. */
export function show(report, app, several) {
  const shown = report.requests.filter((request) => app === null || nameOf(request) === app);
  const seen = new Map();
  const order = shown.map((request, at) => {
    // What has no thread has no frames either, and is told apart by its place.
    const key = request.thread ? `${request.pid} ${request.thread} ${request.phase === "staged" ? at : ""}` : `${request.phase} ${at}`;
    const known = bodies.get(key);
    // A thread that is younger than before has another request.
    const body = known && known.age <= request.age_ms + 50 ? known : new Row();
    body.show(request, several);
    seen.set(key, body);
    return body.element;
  });
  bodies.clear();
  seen.forEach((body, key) => bodies.set(key, body));
  arrange(table, [table.tHead, ...order]);
  table.hidden = !order.length;
  none.hidden = order.length > 0;
  const stuck = shown.filter(isStuck).length;
  const more = app === null && report.more ? `, ${report.more} more not shown` : "";
  say(count, order.length ? `${order.length}${more}${stuck ? `, ${stuck} stuck` : ""}` : "");
  return stuck;
}

/** From which age on frames are wanted: of what is stuck, and of what is open. */
export function framesFrom() {
  const open = [...bodies.values()].filter((body) => body.isOpen && body.hasThread).map((body) => body.age);
  return Math.floor(Math.min(STUCK, ...open));
}

function isStuck(request) {
  return request.age_ms >= STUCK && request.thread !== undefined && request.phase !== "staged";
}

/** One request: a body of the table with a row, and one for the frames. */
class Row {
  age = 0;
  hasThread = false;
  isOpen = false;
  #told = null;

  constructor() {
    const cell = (name, label) => el("td", { role: "cell", class: name, "data-label": label });
    this.ageCell = cell("age number", "Age");
    this.phase = cell("phase", "Phase");
    this.worker = cell("worker", "Worker");
    this.cpu = cell("cpu number", "CPU");
    this.app = el("span", { class: "app" });
    this.method = el("b");
    this.url = el("bdi", { class: "url" });
    this.at = el("code", { class: "at" });
    this.list = el("ol", { class: "frames", id: `frames-${++Row.made}` });
    this.button = el(
      "button",
      { type: "button", "aria-expanded": "false", "aria-controls": this.list.id, onclick: () => this.#toggle() },
      this.method,
      " ",
      this.url,
    );
    this.what = el("td", { role: "cell", class: "what" }, this.app, " ", this.button, this.at);
    this.row = el("tr", { role: "row" }, this.ageCell, this.what, this.phase, this.worker, this.cpu);
    this.more = el("tr", { role: "row", class: "more", hidden: "" }, el("td", { role: "cell", colspan: 5 }, this.list));
    this.element = el("tbody", { role: "rowgroup" }, this.row, this.more);
  }

  show(request, several) {
    this.age = request.age_ms;
    this.hasThread = request.thread !== undefined;
    this.element.classList.toggle("stuck", isStuck(request));
    say(this.ageCell, duration(request.age_ms));
    say(this.app, several ? nameOf(request) : "");
    say(this.method, request.method);
    say(this.url, request.url || "(its params are arriving)");
    say(this.phase, request.phase);
    say(this.worker, request.worker ? `${request.worker}, thread ${request.thread}` : "–");
    say(this.cpu, request.cpu_ms === undefined ? "–" : duration(request.cpu_ms));
    this.worker.title = request.pid ? `process ${request.pid}` : "";
    // Frames that were not asked for this time are still those of this request.
    if (request.frames) this.#told = request.frames;
    const frames = this.#told ?? [];
    say(this.at, isStuck(request) ? short(frames.at(-1) ?? "") : "");
    const lines = frames.length ? frames : [this.hasThread ? "asking its thread" : "it has no thread yet"];
    lines.forEach((line, at) => say(this.list.children[at] ?? this.list.appendChild(el("li")), line));
    while (this.list.children.length > lines.length) this.list.lastChild.remove();
  }

  #toggle() {
    this.isOpen = !this.isOpen;
    this.button.setAttribute("aria-expanded", this.isOpen);
    this.more.hidden = !this.isOpen;
    this.element.dispatchEvent(new CustomEvent("asked", { bubbles: true }));
  }

  static made = 0;
}

/** `File "/srv/shop/shop.py", line 5, in totals` as `shop.py:5 in totals`. */
function short(frame) {
  const parts = /^File "(.*)", line (\d+), in (.*)$/s.exec(frame);
  return parts ? `${parts[1].split("/").at(-1)}:${parts[2]} in ${parts[3]}` : frame;
}
