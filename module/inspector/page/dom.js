// Small helpers: elements without markup, and requests to the sidecar.

import { language } from "./i18n.js";

// h makes an element. Properties that begin with "on" are listeners, "class" and
// names with "-" are attributes; children are nodes, texts, or nothing.
export function h(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key in element && !key.includes("-") && key !== "list" && key !== "form") element[key] = value;
    else element.setAttribute(key === "className" ? "class" : key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((c) => c !== undefined && c !== null && c !== false));
  return element;
}

const token = document.querySelector('meta[name="token"]').content;

async function answer(response) {
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.error || `HTTP ${response.status}`);
  return body;
}

export const get = async (path) => answer(await fetch(path, { headers: { Accept: "application/json", "Accept-Language": language() } }));

export const post = async (path, body) =>
  answer(await fetch(path, { method: "POST", headers: { "Content-Type": "application/json", "Countersign-Token": token, "Accept-Language": language() }, body: JSON.stringify(body) }));

// visible marks what the sidecar has put between ⟨ and ⟩: characters that cannot be
// seen, or that look like another one.
export function visible(text) {
  return text.split(/(⟨[^⟩]{1,40}⟩|\{secret\})/).map((piece, i) => (i % 2 ? h("mark", { className: piece === "{secret}" ? "secret" : "unseen" }, piece) : piece));
}

export const number = (n) => (n >= 100 ? n.toFixed(0) : n >= 10 ? n.toFixed(1) : n.toFixed(2));

// copyButton copies a text, and says so for a moment.
export function copyButton(text, label, done) {
  const button = h("button", { type: "button", className: "small", onclick: async () => {
    try { await navigator.clipboard.writeText(text); button.textContent = done; } catch { return; }
    setTimeout(() => { button.textContent = label; }, 1500);
  } }, label);
  return button;
}
