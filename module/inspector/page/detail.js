// One exchange or notification, as a picture of its way.

import { h, get, post, visible, number, copyButton } from "./dom.js";
import { t, reasonTitle, reasonAdvice } from "./i18n.js";
import { clock } from "./list.js";

export class Detail {
  constructor(app) {
    this.app = app;
    this.root = h("section", { className: "detail", tabIndex: -1 });
    this.clear();
  }

  clear() {
    this.record = undefined;
    this.root.removeAttribute("aria-label");
    this.root.replaceChildren(h("p", { className: "empty" }, t("choose")), !this.app.bodies && h("p", { className: "hint" }, t("metadata")));
  }

  async show(id, focus) {
    try {
      this.record = await get(`records/${encodeURIComponent(id)}`);
    } catch {
      this.record = undefined;
      this.root.replaceChildren(this.back(), h("p", { className: "empty" }, t("gone")));
      return;
    }
    this.render();
    if (focus) this.root.focus({ preventScroll: true });
    scrollTo(0, 0);
  }

  back() { return h("a", { href: "#/", className: "back" }, "← ", t("back")); }

  render() {
    const r = this.record;
    if (!r) { this.clear(); return; }
    const b = r.bodies;
    const title = reasonTitle(r.outcome, r.title);
    this.root.setAttribute("aria-label", title);
    this.root.replaceChildren(
      this.back(),
      h("header", { className: `verdict ${r.state}` },
        h("p", { className: "crumbs" }, r.profile, " · ", `${r.method} ${r.path}`, " · ", clock(r.time)),
        h("h2", {}, title, r.order && h("span", { className: "order" }, r.order), r.rehearse && h("span", { className: "tag" }, t("rehearsal"))),
        r.state === "fault" && h("p", { className: "reason" }, h("code", {}, r.outcome), b?.upstream_code && h("span", {}, ` ${t("code")}: `, h("code", {}, b.upstream_code))),
        r.money && h("p", { className: "money" }, t(r.money))),
      this.trouble(r) || "",
      this.way(r),
      b ? this.bodies(r, b) : h("p", { className: "hint" }, t("metadata")),
      this.facts(r),
      b?.can_send ? this.again(r, b) : "");
  }

  trouble(r) {
    if (r.state !== "fault") return undefined;
    const advice = reasonAdvice(r.outcome);
    return h("div", { className: "callout", role: "note", "aria-label": t("why") },
      r.detail && h("p", {}, r.detail),
      r.diagnosis && h("p", {}, h("strong", {}, `${t("why")}: `), h("span", { className: "diagnosis" }, r.diagnosis)),
      advice && h("p", {}, h("strong", {}, `${t("change")}: `), advice),
      r.would?.length > 0 && h("div", {}, h("strong", {}, t("would")), h("ul", {}, r.would.map((w) => h("li", { lang: "en" }, h("code", {}, w))))));
  }

  // way is the picture: each stage with its time, up to where it ended.
  way(r) {
    const good = r.state !== "fault";
    const open = r.open_ms > 0;
    let stages;
    if (r.kind === "exchange") {
      const left = r.upstream_ms > 0 && r.outcome !== "upstream_unreachable";
      stages = [
        ["posted", true, t("bytes", r.request_bytes)],
        ["sealed", r.seal_ms > 0, t("milliseconds", number(r.seal_ms))],
        ["sent", left, ""],
        ["received", r.status > 0, r.status ? `${r.status} · ${t("milliseconds", number(r.upstream_ms))}` : ""],
        ["verified", good && open && r.outcome !== "unsigned", t("milliseconds", number(r.open_ms))],
        ["handed", good, r.signed ? `${t("covers")} ${r.signed}` : ""],
      ];
    } else {
      const verified = Boolean(r.signed) || r.outcome === "repeated";
      stages = [
        ["received", true, t("bytes", r.request_bytes)],
        ["verified", verified, t("milliseconds", number(r.open_ms))],
        ["handedOn", r.upstream_ms > 0 && verified, r.upstream_ms ? t("milliseconds", number(r.upstream_ms)) : ""],
        ["answered", good, r.status ? `${r.status}` : ""],
      ];
    }
    const stop = stages.findIndex(([, reached]) => !reached);
    return h("ol", { className: "way", "aria-label": t("way") }, stages.map(([name, , note], i) => {
      const state = stop < 0 || i < stop ? "done" : i === stop && !good ? "broken" : "idle";
      const words = state === "idle" ? t("notReached") : state === "broken" ? t("stopped") : note;
      return h("li", { className: state }, h("span", { className: "mark", "aria-hidden": "true" }, state === "done" ? "✓" : state === "broken" ? "✕" : "·"), h("b", {}, t(name)), h("span", { className: "note" }, words));
    }));
  }

  bodies(r, b) {
    const exchange = r.kind === "exchange";
    return h("div", {},
      b.request && h("section", { className: "card" }, h("h3", {}, t(b.sent ? "request" : "requestOnly")), table(b.request, "posted", "sent", b.sent)),
      (b.sealed || []).map((s) => signature(s, t("canonicalOf"))),
      b.answer && h("section", { className: "card" },
        h("h3", {}, t(exchange ? (b.handed ? "answer" : "answerOnly") : (b.handed ? "incoming" : "incomingOnly"))),
        h("p", { className: "hint" }, t("coveredHint")), table(b.answer, "received", exchange ? "handed" : "handedOn", b.handed, true)),
      (b.opened || []).map((s) => signature(s, t("canonicalIn"))),
      b.expected && signature(b.expected, t("canonicalOurs"), t("canonicalOursHint")),
      h("section", { className: "card" }, h("h3", {}, t("raw")), ["posted", "sent", "received", "handed", "answered"].map((name) => raw(b[name], name))));
  }

  facts(r) {
    const facts = [
      ["id", r.id], ["profile", `${r.profile} (${r.scheme})`], ["reference", r.reference], ["fingerprints", (r.fingerprints || []).join("\n")],
      ["digest", r.canonical_sha256], ["signedPart", r.signed], ["status", r.status], ["requestBytes", t("bytes", r.request_bytes)],
      ["responseBytes", r.response_bytes ? t("bytes", r.response_bytes) : ""], ["guard", r.guard],
    ].filter(([, value]) => value);
    return h("section", { className: "card" }, h("h3", {}, t("facts")), h("dl", { className: "facts" }, facts.map(([name, value]) => [h("dt", {}, t(name)), h("dd", {}, String(value))])));
  }

  again(r, b) {
    const text = h("textarea", { id: "again", rows: 8, spellcheck: false, value: b.posted.text });
    const status = h("p", { role: "status", className: "status" });
    const send = async (fault) => {
      status.textContent = t("working");
      try {
        const { id } = await post("workbench/send", { id: r.id, text: text.value, fault });
        status.textContent = "";
        location.hash = `#/r/${id}`;
      } catch (error) { status.textContent = error.message; }
    };
    return h("section", { className: "card again" },
      h("h3", {}, t("again")), h("p", { className: "hint" }, t("againHint")),
      h("label", { for: "again" }, t("body")), text,
      h("div", { className: "buttons" }, h("button", { type: "button", className: "primary", onclick: () => send("") }, t("send")), h("span", { className: "hint" }, t("faults")),
        b.faults.map((f) => h("button", { type: "button", className: "small", "data-fault": f, onclick: () => send(f) }, f))),
      status);
  }
}

// table puts two messages side by side.
export function table(rows, left, right, both, covers) {
  const body = h("tbody", {}, rows.map((r) => {
    const marks = r.marks || [];
    const changed = marks.length > 0;
    return h("tr", { className: `${marks.join(" ")}${covers && !r.covered ? " quiet" : ""}${changed ? "" : " same"}` },
      h("th", { scope: "row" }, h("code", {}, r.path), " ", marks.map((m) => h("span", { className: `tag ${m}` }, t(m))),
        covers && (r.covered ? h("span", { className: "covered", title: t("covered"), role: "img", "aria-label": t("covered") }, "✓") : !marks.includes("signature") && h("span", { className: "uncovered" }, t("uncovered")))),
      h("td", { "data-label": t(left) }, value(r.before)),
      both && h("td", { "data-label": t(right) }, value(r.after)));
  }));
  const box = h("table", { className: "sides" }, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("member")), h("th", { scope: "col" }, t(left)), both && h("th", { scope: "col" }, t(right)))), body);
  if (!both) return box;
  return h("div", {}, h("label", { className: "toggle" }, h("input", { type: "checkbox", onchange: (e) => box.classList.toggle("only-changes", e.target.checked) }), " ", t("onlyChanges")), box);
}

// value is a value as JSON. A long one scrolls, with the keyboard as well.
function value(text) {
  if (text === null) return h("span", { className: "absent" }, "—");
  return text.length > 160 ? h("span", { className: "value long", tabIndex: 0 }, text) : h("span", { className: "value" }, text);
}

// signature shows a text that was signed, and by what.
export function signature(s, title, hint) {
  const facts = [["where", s.where], ["algorithm", [s.algorithm, s.encoding].filter(Boolean).join(", ")], ["fingerprint", s.fingerprint], ["covers", s.part], ["digest", s.sha256]].filter(([, v]) => v);
  return h("section", { className: "card" },
    h("h3", {}, title), hint && h("p", { className: "hint" }, hint),
    h("dl", { className: "facts" }, facts.map(([name, text]) => [h("dt", {}, t(name)), h("dd", {}, text)])),
    h("p", { className: "hint" }, t("size", s.bytes, s.characters), s.hidden > 0 && h("strong", { className: "warn" }, " · ", t("unseen", s.hidden)), s.text.includes("{secret}") && [" · ", t("secretHint")]),
    h("pre", { className: "canonical", tabIndex: 0, role: "region", "aria-label": t("canonical") }, visible(s.text)),
    copyButton(s.raw, t("copy"), t("copied")));
}

function raw(part, name) {
  if (!part) return undefined;
  return h("details", {},
    h("summary", {}, t(name), " ", h("span", { className: "hint" }, part.line, " · ", t("bytes", part.bytes), part.cut && ` · ${t("cut")}`)),
    part.header && h("pre", { tabIndex: 0, role: "region", "aria-label": t("headers") }, part.header.map((x) => [h("span", { className: x.mark || "" }, `${x.name}: ${x.value}`), "\n"])),
    h("pre", { tabIndex: 0, role: "region", "aria-label": t("body") }, pretty(part.text)));
}

// pretty indents JSON without touching its numbers and strings.
function pretty(text) {
  const trimmed = text.trim();
  if (!/^[[{]/.test(trimmed)) return text;
  let out = "", depth = 0, quoted = false;
  for (let i = 0; i < trimmed.length; i++) {
    const c = trimmed[i];
    if (quoted) { out += c; if (c === "\\") out += trimmed[++i] ?? ""; else if (c === '"') quoted = false; continue; }
    if (c === '"') { quoted = true; out += c; } else if (c === "{" || c === "[") {
      const next = trimmed.slice(i + 1).match(/^\s*[\]}]/);
      if (next) { out += c + next[0].trim(); i += next[0].length; } else { depth++; out += `${c}\n${"  ".repeat(depth)}`; }
    } else if (c === "}" || c === "]") { depth = Math.max(0, depth - 1); out += `\n${"  ".repeat(depth)}${c}`; } else if (c === ",") out += `,\n${"  ".repeat(depth)}`;
    else if (c === ":") out += ": ";
    else if (!/\s/.test(c)) out += c;
  }
  return out;
}
