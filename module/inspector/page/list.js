// The list of exchanges and notifications: filters, rows, live update.

import { h, number } from "./dom.js";
import { t, language, reasonTitle } from "./i18n.js";

const maxShown = 500;

export class List {
  constructor(app) {
    this.app = app;
    this.records = []; // the newest first
    this.filter = { text: "", state: "", profile: "" };
    this.selected = "";
    this.root = h("section", { className: "list", "aria-label": t("exchanges") });
    this.build();
  }

  build() {
    const changed = () => { this.filter = { text: this.text.value.trim().toLowerCase(), state: this.state.value, profile: this.profile.value }; this.render(); };
    this.text = h("input", { type: "search", id: "search", value: this.filter.text, placeholder: t("searchHint"), oninput: changed, autocomplete: "off", spellcheck: false });
    this.state = h("select", { id: "state", onchange: changed }, ["", "good", "note", "fault"].map((s) => h("option", { value: s, selected: s === this.filter.state }, t(s || "all"))));
    this.profile = h("select", { id: "profile", onchange: changed });
    this.count = h("output", { className: "count", for: "search state profile" });
    this.rows = h("ol", { className: "records", reversed: true });
    this.empty = h("p", { className: "empty" });
    this.root.setAttribute("aria-label", t("exchanges"));
    this.root.replaceChildren(
      h("div", { className: "filters", role: "search", "aria-label": t("search") },
        h("label", { className: "grow" }, h("span", {}, t("search")), this.text),
        h("label", {}, h("span", {}, t("outcome")), this.state),
        h("label", {}, h("span", {}, t("provider")), this.profile)),
      h("div", { className: "bar-legend" },
        this.count,
        h("span", { className: "legend" }, ["seal", "upstream", "open"].map((s) => h("span", { className: `key ${s}` }, t(s)))),
        h("button", { type: "button", className: "small", onclick: () => this.app.clear() }, t("clear"))),
      this.empty, this.rows);
    this.profiles();
    this.render();
  }

  profiles() {
    const names = [...new Set([...this.app.routes.map((r) => r.profile), ...this.records.map((r) => r.profile)])].sort();
    this.profile.replaceChildren(...["", ...names].map((name) => h("option", { value: name, selected: name === this.filter.profile }, name || t("all"))));
  }

  set(records) { this.records = records; this.profiles(); this.render(); }

  add(record) {
    if (this.records.some((r) => r.seq === record.seq)) return;
    this.records.unshift(record);
    this.records.length = Math.min(this.records.length, this.app.keep);
    if (![...this.profile.options].some((o) => o.value === record.profile)) this.profiles();
    this.render(record.id);
  }

  matches(r) {
    const f = this.filter;
    if (f.state && r.state !== f.state || f.profile && r.profile !== f.profile) return false;
    if (!f.text) return true;
    const text = [r.id, r.profile, r.scheme, r.reference, r.method, r.path, r.order, r.outcome, reasonTitle(r.outcome)].join(" ").toLowerCase();
    return f.text.split(/\s+/).every((word) => text.includes(word));
  }

  render(fresh) {
    const shown = this.records.filter((r) => this.matches(r));
    const longest = Math.max(1, ...shown.slice(0, maxShown).map((r) => r.seal_ms + r.upstream_ms + r.open_ms));
    const focused = document.activeElement?.closest?.(".record")?.dataset.id;
    this.rows.replaceChildren(...shown.slice(0, maxShown).map((r) => h("li", {}, this.row(r, longest, r.id === fresh))));
    if (focused) this.link(focused)?.focus({ preventScroll: true });
    this.count.textContent = t("shown", Math.min(shown.length, maxShown), this.records.length);
    this.empty.hidden = shown.length > 0;
    this.empty.textContent = this.records.length ? t("noMatch") : t("nothing");
  }

  row(r, longest, fresh) {
    const total = r.seal_ms + r.upstream_ms + r.open_ms;
    const stages = ["seal", "upstream", "open"].map((name) => [name, r[`${name}_ms`]]);
    const label = stages.map(([name, ms]) => `${t(name === "upstream" && r.kind === "notification" ? "application" : name)} ${t("milliseconds", number(ms))}`).join(", ");
    const bar = h("span", { className: "bar", role: "img", "aria-label": label, title: label }, stages.map(([name, ms]) => {
      const piece = h("span", { className: `piece ${name}` });
      piece.style.width = `${ms > 0 ? Math.max(1, (ms / longest) * 100) : 0}%`;
      return piece;
    }));
    return h("a", {
      href: `#/r/${r.id}`, className: `record ${r.state}${fresh ? " fresh" : ""}`, "data-id": r.id, "aria-current": r.id === this.selected ? "true" : undefined,
    },
    h("span", { className: "when" }, h("time", { dateTime: r.time }, clock(r.time))),
    h("span", { className: "who" }, r.profile, r.kind === "notification" && h("span", { className: "tag" }, t("notification")), r.rehearse && h("span", { className: "tag" }, t("rehearsal"))),
    h("span", { className: "what" }, r.order && h("b", {}, r.order), h("span", { className: "path" }, `${r.method} ${r.path}`)),
    h("span", { className: "how" }, h("span", { className: "dot", "aria-hidden": "true" }), r.outcome === "ok" || r.state !== "fault" ? reasonTitle(r.outcome) : h("span", {}, h("code", {}, r.outcome))),
    h("span", { className: "took" }, bar, h("span", { className: "ms" }, t("milliseconds", number(total)))));
  }

  link(id) { return this.rows.querySelector(`[data-id="${CSS.escape(id)}"]`); }

  links() { return [...this.rows.querySelectorAll(".record")]; }

  // move puts the focus on the next record in a direction, or on the next fault.
  move(step, fault) {
    const links = this.links();
    const at = links.findIndex((l) => l === document.activeElement || !links.includes(document.activeElement) && l.dataset.id === this.selected);
    for (let i = at + step; i >= 0 && i < links.length; i += step) {
      if (!fault || links[i].classList.contains("fault")) {
        links[i].focus();
        links[i].scrollIntoView({ block: "nearest" });
        return links[i];
      }
    }
    return undefined;
  }

  select(id) {
    this.selected = id;
    for (const link of this.links()) {
      if (link.dataset.id === id) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }
}

export const clock = (time) => new Date(time).toLocaleTimeString(language() === "zh" ? "zh-CN" : "en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", fractionalSecondDigits: 3 });
