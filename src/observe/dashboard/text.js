// Elements, and numbers as people read them. Whatever comes from a client becomes
// a text node: nothing here knows markup.

/** An element with attributes (`class`, `data-x`, `onclick`) and children. */
export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  put(made, attributes);
  made.append(...children);
  return made;
}

/** The same for SVG. */
export function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  put(made, attributes);
  made.append(...children);
  return made;
}

function put(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value !== undefined) element.setAttribute(name, value);
  }
}

/** Sets a text if it is another: a screen reader is told of changes only. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Has exactly these children in this order, and moves as few as it can. */
export function arrange(parent, children) {
  const keep = new Set(children);
  for (const child of [...parent.children]) if (!keep.has(child)) child.remove();
  children.forEach((child, at) => {
    if (parent.children[at] !== child) parent.insertBefore(child, parent.children[at] ?? null);
  });
}

/** `0.4 ms`, `73 ms`, `5.62 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`. */
export function duration(ms) {
  if (ms < 10) return `${+ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const s = ms / 1000;
  if (s < 10) return `${s.toFixed(2)} s`;
  if (s < 60) return `${s.toFixed(1)} s`;
  const whole = Math.floor(s);
  const [d, h, min] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60];
  if (d) return `${d} d ${h} h`;
  if (h) return `${h} h ${min} min`;
  return `${min} min ${whole % 60} s`;
}

/** The same in whole seconds. */
export const age = (ms) => (ms < 60_000 ? `${Math.floor(ms / 1000)} s` : duration(ms));

/** `17 MiB`. */
export function bytes(count) {
  const mib = count / 2 ** 20;
  return mib < 1000 ? `${+mib.toFixed(mib < 10 ? 1 : 0)} MiB` : `${(mib / 1024).toFixed(1)} GiB`;
}

/** `0`, `3.4`, `1 234`. */
export function number(value) {
  const digits = value < 10 && !Number.isInteger(value) ? 1 : 0;
  return value.toFixed(digits).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/** `14:03:21`. */
export function clock(ms) {
  return new Date(ms).toTimeString().slice(0, 8);
}

/** `1 worker`, `2 workers`. */
export function many(count, what) {
  return `${number(count)} ${what}${count === 1 ? "" : "s"}`;
}
