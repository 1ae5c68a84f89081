// The workbench: diff, explain and guess for what is pasted.

import { h, post } from "./dom.js";
import { t } from "./i18n.js";
import { signature, table } from "./detail.js";

const tools = ["diff", "explain", "guess"];
const kinds = { request: "kindRequest", answer: "kindAnswer", notification: "kindNotification" };

export class Workbench {
  constructor(app) {
    this.app = app;
    this.tool = "diff";
    this.kept = { route: -1, as: "request", text: "", canonical: "", messages: ["", ""] };
    this.root = h("section", { className: "workbench", tabIndex: -1, "aria-label": t("workbench") });
  }

  show(tool) {
    if (tools.includes(tool)) this.tool = tool;
    this.render();
  }

  render() {
    const k = this.kept;
    this.root.setAttribute("aria-label", t("workbench"));
    this.result = h("div", { className: "result", "aria-live": "polite" });
    const nav = h("nav", { className: "tools", "aria-label": t("workbench") }, tools.map((name) => h("a", { href: `#/workbench/${name}`, "aria-current": name === this.tool ? "page" : undefined }, t(name))));
    if (this.app.routes.length === 0) {
      this.root.replaceChildren(nav, h("p", { className: "empty" }, t("noHandlers")));
      return;
    }
    if (!this.app.routes.some((r) => r.index === k.route)) k.route = this.app.routes[0].index;
    const routes = h("select", { id: "route", onchange: () => { k.route = Number(routes.value); } }, this.app.routes.map((r) => h("option", { value: r.index, selected: r.index === k.route }, `${r.profile}${r.kind === "notification" ? ` · ${t("notification")}` : ""}`)));
    const as = h("select", { id: "as", onchange: () => { k.as = as.value; } }, Object.entries(kinds).map(([name, word]) => h("option", { value: name, selected: name === k.as }, t(word))));
    const area = (id, label, text, keep, rows) => h("div", { className: "field" }, h("label", { for: id }, label), h("textarea", { id, rows, spellcheck: false, value: text, oninput: (e) => keep(e.target.value) }));
    let fields;
    if (this.tool === "guess") {
      fields = [k.messages.map((text, i) => area(`message-${i}`, t("oneMessage", i + 1), text, (v) => { k.messages[i] = v; }, 7)),
        h("button", { type: "button", className: "small", onclick: () => { k.messages.push(""); this.render(); } }, t("more"))];
    } else {
      fields = [area("text", t(this.tool === "diff" ? "message" : "body"), k.text, (v) => { k.text = v; }, 9),
        this.tool === "diff" && area("canonical", t("theirs"), k.canonical, (v) => { k.canonical = v; }, 5)];
    }
    this.root.replaceChildren(nav, h("form", {
      className: "card", onsubmit: (e) => { e.preventDefault(); this.run(); },
    },
    h("p", { className: "hint" }, t(`${this.tool}Hint`)),
    h("div", { className: "filters" }, h("label", {}, h("span", {}, t("handler")), routes), h("label", {}, h("span", {}, t("kind")), as)),
    fields, h("div", { className: "buttons" }, h("button", { type: "submit", className: "primary" }, t("run")))), this.result);
  }

  async run() {
    const { tool, kept } = this;
    this.result.replaceChildren(h("p", { className: "status" }, t("working")));
    try {
      const answer = await post(`workbench/${tool}`, { route: kept.route, as: kept.as, text: kept.text, canonical: kept.canonical, messages: kept.messages });
      this.result.replaceChildren(...this[tool](answer).filter(Boolean));
    } catch (error) {
      this.result.replaceChildren(h("p", { className: "callout", role: "alert" }, error.message));
    }
  }

  diff(a) {
    if (a.equal) return [h("p", { className: "verdict good" }, t("equal")), signature(a.ours, t("canonicalOurs"))];
    const side = (name, text, className) => h("div", { className: `side ${className}` }, h("b", {}, name), h("code", {}, h("span", { className: "before" }, a.before), h("mark", {}, text)));
    return [
      h("section", { className: "card" },
        h("h3", {}, t("differ", a.at), a.member && t("inMember", a.member)),
        side(t("ours"), a.left, "ours"), side(t("theirsShort"), a.right, "theirs"),
        h("dl", { className: "facts wide" }, h("dt", {}, t("cause")), h("dd", {}, `${a.cause}: ${a.words}`), h("dt", {}, t("advice")), h("dd", {}, a.advice),
          a.also?.length > 0 && [h("dt", {}, t("also")), h("dd", {}, a.also.join(", "))]),
        a.would?.length > 0 && h("div", {}, h("strong", {}, t("wouldEqual")), h("ul", {}, a.would.map((w) => h("li", { lang: "en" }, h("code", {}, w)))))),
      signature(a.ours, t("canonicalOurs"))];
  }

  explain(a) {
    const good = this.kept.as === "request" ? t("wouldSign") : t("verifies");
    return [
      h("p", { className: `verdict ${a.good ? "good" : "fault"}` }, a.good ? good : t("verifiesNot")),
      !a.good && h("div", { className: "callout" }, h("p", {}, a.error), a.sentence && h("p", {}, h("strong", {}, `${t("why")}: `), h("span", {}, a.sentence)),
        a.would?.length > 0 && h("div", {}, h("strong", {}, t("would")), h("ul", {}, a.would.map((w) => h("li", { lang: "en" }, h("code", {}, w)))))),
      a.note && h("p", { className: "hint", lang: "en" }, a.note),
      ...(a.signatures || []).map((s) => signature(s, t("canonical"))),
      a.expected && signature(a.expected, t("canonicalOurs"), t("canonicalOursHint")),
      a.rows?.length > 0 && h("section", { className: "card" }, h("p", { className: "hint" }, t("coveredHint")), table(a.rows, "received", "handed", true, true)),
      h("section", { className: "card" }, h("h3", {}, t("keysOf", a.reference)), h("dl", { className: "facts" }, a.keys.map((key) => [h("dt", {}, key.role), h("dd", {}, key.fingerprint, key.used && h("span", { className: "tag" }, t("used")))])))];
  }

  guess(a) {
    return [
      h("p", { className: `verdict ${a.recipe ? "good" : "fault"}` }, t(a.recipe ? "found" : "foundNot", a.tried), a.over && ` ${t("over")}`),
      a.recipe && h("section", { className: "card" }, h("pre", { tabIndex: 0, role: "region", "aria-label": t("guess") }, a.recipe)),
      a.others?.length > 0 && h("section", { className: "card" }, h("h3", {}, t("others")), h("ul", {}, a.others.map((o) => h("li", { lang: "en" }, h("code", {}, o))))),
      !a.recipe && a.searched?.length > 0 && h("section", { className: "card" }, h("h3", {}, t("searched")), h("ul", {}, a.searched.map((s) => h("li", { lang: "en" }, s))))];
  }
}
