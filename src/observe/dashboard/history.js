// What was told in the last minutes, and what can be drawn of it.

/** How far back it goes, in milliseconds. */
export const SPAN = 5 * 60 * 1000;

/** Percentiles are those of the requests that ended in this time. */
const WINDOW = 10 * 1000;

/** After a longer silence a line is interrupted. */
const GAP = 4000;

/** What an app is called that has no name. */
export const nameOf = (app) => app.app ?? "app";

export class History {
  #samples = [];
  #marks = [];

  /** What flupd has noted since it was asked last. Says what is new in it: `restart`, `reload`. */
  add(report) {
    const news = new Set();
    for (const { t, apps } of report.history.samples) {
      const last = this.#samples.at(-1);
      const sample = { t, started: report.started_ms, apps: new Map(apps.map((app) => [app.app, app])) };
      // An app has none while it starts, or when all workers have died.
      for (const [name, app] of sample.apps) app.generation ||= last?.apps.get(name)?.generation ?? 0;
      const what = last && change(last, sample);
      if (what) {
        this.#marks.push({ t, what });
        news.add(what);
      }
      this.#samples.push(sample);
    }
    this.bounds = report.history.bounds_ms;
    const end = this.since;
    this.#samples = this.#samples.filter(({ t }) => t > end - SPAN - WINDOW && t <= end);
    this.#marks = this.#marks.filter(({ t }) => t > end - SPAN);
    return news;
  }

  /** Up to when it is known, in milliseconds since 1970. */
  get since() {
    return this.#samples.at(-1)?.t ?? 0;
  }

  /** Restarts and reloads. */
  get marks() {
    return this.#marks;
  }

  /** What is drawn: of one app, or of all. */
  points(app = null) {
    const points = [];
    let from = 0;
    for (let at = 0; at < this.#samples.length; at++) {
      const now = this.#samples[at];
      while (now.t - this.#samples[from].t > WINDOW) from++;
      const before = this.#samples[at - 1];
      const here = total(now, app);
      const point = { t: now.t, waiting: here.waiting, busy: here.busy, threads: here.threads, memory: here.memory };
      point.gap = !before || now.t - before.t > GAP;
      if (!point.gap) {
        Object.assign(point, rates(total(before, app), here, now.t - before.t, now.started !== before.started));
        // A restart forgets all counts.
        const since = this.#samples.findIndex((old, index) => index >= from && old.started === now.started);
        Object.assign(point, percentiles(total(this.#samples[since], app).durations, here.durations, this.bounds));
      }
      points.push(point);
    }
    return points;
  }
}

/** What has happened between two samples. */
function change(last, sample) {
  if (last.started !== sample.started) return "restart";
  const younger = ([name, { generation }]) => last.apps.get(name)?.generation > 0 && last.apps.get(name).generation < generation;
  return [...sample.apps].some(younger) ? "reload" : null;
}

function total(sample, app) {
  const sum = { waiting: 0, busy: 0, threads: 0, memory: 0, requests: 0, errors: 0, durations: [] };
  for (const [name, one] of sample.apps) {
    if (app !== null && name !== app) continue;
    for (const key of ["waiting", "busy", "threads", "memory", "requests", "errors"]) sum[key] += one[key];
    sum.durations = one.durations.map((count, at) => count + (sum.durations[at] ?? 0));
  }
  return sum;
}

function rates(before, now, ms, anew) {
  const rate = (key) => (Math.max(0, now[key] - (anew ? 0 : before[key])) * 1000) / ms;
  return { rate: rate("requests"), errors: rate("errors") };
}

/** Of what has come between two counts of the same buckets; nothing if nothing has. */
function percentiles(before, now, bounds) {
  const counts = now.map((count, at) => Math.max(0, count - (before[at] ?? 0)));
  const all = counts.reduce((sum, count) => sum + count, 0);
  const at = (share) => {
    let left = all * share;
    for (const [index, count] of counts.entries()) {
      const [low, high] = [bounds[index - 1] ?? 0, bounds[index]];
      // Nobody knows how long those of the last bucket took.
      if (left <= count) return high === undefined ? low : low + ((high - low) * left) / count;
      left -= count;
    }
  };
  return all ? { p50: at(0.5), p95: at(0.95), p99: at(0.99) } : {};
}
