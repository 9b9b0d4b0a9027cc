// Asks flupd once a second, while somebody looks, and has the rest of the page
// show what it says.

import { Chart } from "./chart.js";
import { History, nameOf } from "./history.js";
import * as requests from "./requests.js";
import { age, bytes, clock, duration, el, many, number, say } from "./text.js";
import * as workers from "./workers.js";

/** How often flupd is asked, and how long it may take, in milliseconds. */
const EVERY = 1000;
const PATIENCE = 3000;

const $ = (selector) => document.querySelector(selector);
const milliseconds = (value) => (value < 1 ? "< 1 ms" : duration(value).replace(/\.0+ /, " "));

const charts = [
  new Chart({ id: "rate", title: "Requests per second", least: 5, format: number, series: [{ key: "rate", label: "all", area: true }, { key: "errors", label: "errors" }] }),
  new Chart({ id: "latency", title: "Latency", least: 5, format: milliseconds, series: [{ key: "p50", label: "p50" }, { key: "p95", label: "p95" }, { key: "p99", label: "p99" }] }),
  new Chart({ id: "queue", title: "Queue", least: 4, format: number, series: [{ key: "waiting", label: "", area: true }] }),
  new Chart({ id: "threads", title: "App threads", least: 1, format: number, series: [{ key: "busy", label: "busy", area: true }, { key: "threads", label: "ready" }] }),
  new Chart({ id: "memory", title: "Memory of the workers", least: 2 ** 24, base: 2, format: bytes, series: [{ key: "memory", label: "", area: true }] }),
];
$("#charts").append(...charts.map((chart) => chart.figure));

const history = new History();
let chosen = null;
let last = null;
let lostAt = null;
let timer = null;
let asking = false;

/** One question, and the next one a second after this began. */
async function ask() {
  if (asking || document.hidden) return;
  asking = true;
  clearTimeout(timer);
  const begun = performance.now();
  const report = await question().catch(lose);
  const took = performance.now() - begun;
  asking = false;
  clearTimeout(timer);
  timer = setTimeout(ask, Math.max(0, EVERY - took));
  if (report) hear(report, took);
}

async function question() {
  const url = `status.json?frames=${requests.framesFrom()}&since=${history.since}`;
  const answer = await fetch(url, { signal: AbortSignal.timeout(PATIENCE) });
  if (!answer.ok) throw new Error(`${answer.status} ${(await answer.text()).trim()}`);
  return answer.json();
}

/** flupd has answered. */
function hear(report, took) {
  lostAt = null;
  document.body.classList.remove("lost");
  link(report.stopping ? "stopping" : "live", report.stopping ? "flupd is stopping" : "live");
  say($("#about"), `${location.host}, version ${report.version}, up ${age(report.now_ms - report.started_ms)}`);
  const news = history.add(report);
  if (report.answered_us === null) {
    // What stands below the charts was told last.
    notice("The gateway's thread had no time to say what runs. What stands below is older.");
    return;
  }
  if (news.has("restart")) {
    notice(`flupd was restarted at ${clock(report.started_ms)}: its counts began anew.`, 20_000);
  } else if (!noticeEnds) {
    notice("");
  }
  last = report;
  say($("#cost"), `asked in ${milliseconds(took)}, of which the gateway's thread took ${milliseconds(report.answered_us / 1000)}; ${many(report.connections, "connection")} of web servers`);
  show();
}

/** It has not. */
function lose(error) {
  lostAt ??= Date.now();
  document.body.classList.add("lost");
  link("lost", "no answer");
  const why = error.name === "TimeoutError" ? "it takes too long" : error.message;
  notice(`flupd has not answered since ${clock(lostAt)} (${why}). Asking again each second.`);
}

function show() {
  const names = [...new Set(last.apps.map(nameOf))].sort();
  if (!names.includes(chosen)) chosen = null;
  choices(names);
  const points = history.points(chosen);
  for (const chart of charts) chart.show(points, history.marks);
  const stuck = requests.show(last, chosen, names.length > 1);
  workers.show(last, chosen);
  $("main").classList.toggle("stuck", stuck > 0);
  const rate = points.at(-1).rate;
  document.title = stuck ? `(${stuck} stuck) flupd` : rate === undefined ? "flupd" : `${number(rate)}/s flupd`;
}

/** A button for each app, if there are several. */
function choices(names) {
  const nav = $("#apps");
  nav.hidden = names.length < 2;
  const wanted = [null, ...names];
  if (nav.dataset.names !== JSON.stringify(names)) {
    nav.dataset.names = JSON.stringify(names);
    nav.replaceChildren(...wanted.map((name) => el("button", { type: "button", onclick: () => choose(name) }, name ?? "All apps")));
  }
  wanted.forEach((name, at) => nav.children[at].setAttribute("aria-pressed", name === chosen));
}

function choose(name) {
  chosen = name;
  show();
}

function link(state, text) {
  $("#link").dataset.state = state;
  say($("#link"), text);
}

let noticeEnds = null;

/** Says this above all, for so long if that is given, else until something else is said. */
function notice(text, ms = 0) {
  clearTimeout(noticeEnds);
  noticeEnds = ms ? setTimeout(() => { noticeEnds = null; notice(""); }, ms) : null;
  $("#notice").hidden = !text;
  say($("#notice"), text);
}

document.addEventListener("visibilitychange", ask);
// Frames that somebody has opened are wanted now.
document.addEventListener("asked", ask);
ask();
