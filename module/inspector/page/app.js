// The page: its frame, its addresses, its keys, and what comes live.

import { h, get, post } from "./dom.js";
import { t, setLanguage, language, reasonTitle } from "./i18n.js";
import { List } from "./list.js";
import { Detail } from "./detail.js";
import { Workbench } from "./workbench.js";

const stored = (name) => { try { return localStorage.getItem(`countersign-${name}`) || ""; } catch { return ""; } };
const store = (name, value) => { try { localStorage.setItem(`countersign-${name}`, value); } catch { /* a private window */ } };

const app = {
  routes: [], keep: 200, bodies: false, epoch: "",

  async start() {
    const state = await get("records");
    Object.assign(app, { routes: state.routes, keep: state.keep, bodies: state.bodies, epoch: state.epoch });
    const preferred = navigator.languages.some((l) => l.startsWith("zh")) || state.language === "zh" ? "zh" : "en";
    setLanguage(stored("language") || preferred);
    app.list = new List(app);
    app.detail = new Detail(app);
    app.workbench = new Workbench(app);
    app.list.records = state.records;
    app.frame();
    app.list.build();
    app.listen(`${state.epoch}-${state.records[0]?.seq || 0}`);
    addEventListener("hashchange", () => app.go());
    addEventListener("keydown", (event) => app.key(event));
    await app.go();
    document.body.dataset.ready = "true";
  },

  frame() {
    document.title = t("title");
    const theme = stored("theme");
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    app.state = h("span", { className: "live off", role: "status" }, t("offline"));
    app.main = h("main", { id: "main" });
    app.said = h("p", { className: "unseen-text", "aria-live": "polite" });
    const next = { "": "light", light: "dark", dark: "" };
    document.body.replaceChildren(
      h("header", { className: "top" },
        h("h1", {}, h("img", { src: "page/icon.svg", alt: "", width: 26, height: 26 }), h("a", { href: "#/" }, t("title"))),
        h("nav", { className: "tabs", "aria-label": t("title") }, h("a", { href: "#/", "data-tab": "list" }, t("exchanges")), h("a", { href: "#/workbench", "data-tab": "workbench" }, t("workbench"))),
        h("div", { className: "tools-right" }, app.state,
          h("button", { type: "button", id: "language", lang: language() === "zh" ? "en" : "zh-CN", onclick: () => { app.speak(language() === "zh" ? "en" : "zh"); } }, t("language")),
          h("button", { type: "button", id: "theme", onclick: () => { store("theme", next[theme]); app.frame(); app.go(); } }, `${t("theme")}: ${t(theme || "auto")}`),
          h("button", { type: "button", id: "help", title: t("help"), onclick: () => app.help() }, t("help")))),
      app.main, app.said);
    app.online(app.source?.readyState === 1);
  },

  speak(name) {
    setLanguage(name);
    store("language", name);
    app.frame();
    app.list.build();
    if (app.detail.record) app.detail.show(app.detail.record.id); // its texts come in the language of the page
    else app.detail.clear();
    app.go();
  },

  // go shows what the address names.
  async go() {
    const [where, what] = location.hash.replace(/^#\//, "").split("/");
    const workbench = where === "workbench";
    for (const tab of document.querySelectorAll("[data-tab]")) {
      if ((tab.dataset.tab === "workbench") === workbench) tab.setAttribute("aria-current", "page");
      else tab.removeAttribute("aria-current");
    }
    if (workbench) {
      app.workbench.show(what);
      app.main.className = "one";
      app.main.replaceChildren(app.workbench.root);
      return;
    }
    const id = where === "r" ? decodeURIComponent(what) : "";
    app.main.className = id ? "two has-detail" : "two";
    if (!app.main.contains(app.list.root)) app.main.replaceChildren(app.list.root, app.detail.root);
    const before = app.list.selected;
    app.list.select(id);
    if (!id) {
      app.detail.clear();
      app.list.link(before)?.focus({ preventScroll: true });
    } else if (app.detail.record?.id !== id) await app.detail.show(id, true);
  },

  listen(last) {
    app.source?.close();
    const source = new EventSource(`events?after=${encodeURIComponent(last)}`);
    app.source = source;
    source.addEventListener("open", () => app.online(true));
    source.addEventListener("error", () => {
      app.online(false);
      if (source.readyState === EventSource.CLOSED) setTimeout(() => app.listen(last), 2000);
    });
    source.addEventListener("reset", () => { app.list.set([]); app.refresh(); });
    source.addEventListener("record", (event) => {
      last = event.lastEventId;
      const record = JSON.parse(event.data);
      app.list.add(record);
      if (record.state === "fault") app.said.textContent = t("newFault", record.profile, reasonTitle(record.outcome));
    });
  },

  // refresh takes up another configuration.
  async refresh() {
    try {
      const state = await get("records");
      Object.assign(app, { routes: state.routes, keep: state.keep, bodies: state.bodies, epoch: state.epoch });
      app.list.set(state.records);
    } catch { /* it is tried again with the next event */ }
  },

  online(yes) {
    app.state.textContent = t(yes ? "live" : "offline");
    app.state.classList.toggle("off", !yes);
  },

  async clear() {
    try { await post("clear", {}); } catch { return; }
    app.list.set([]);
    location.hash = "#/";
  },

  help() {
    const dialog = h("dialog", { "aria-label": t("help"), onclose: () => dialog.remove() }, h("h2", {}, t("help")), h("ul", {}, t("keyList").split(" · ").map((k) => h("li", {}, k))),
      h("button", { type: "button", className: "primary", onclick: () => dialog.close() }, t("close")));
    document.body.append(dialog);
    dialog.showModal();
  },

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const typing = event.target.closest("input, textarea, select");
    const keys = {
      j: () => app.list.move(1), ArrowDown: () => app.list.move(1), k: () => app.list.move(-1), ArrowUp: () => app.list.move(-1),
      f: () => app.list.move(1, true) || app.list.links().find((l) => l.classList.contains("fault"))?.focus(),
      "/": () => { location.hash = "#/"; app.main.contains(app.list.root) || app.go(); app.list.text.focus(); }, l: () => { location.hash = "#/"; }, w: () => { location.hash = "#/workbench"; }, "?": () => app.help(),
    };
    if (event.key === "Escape") {
      if (typing) typing.blur();
      else location.hash = "#/";
      return;
    }
    if (typing || !keys[event.key]) return;
    if (event.key.startsWith("Arrow") && event.target.closest("pre, .detail, .workbench")) return; // they scroll
    event.preventDefault();
    keys[event.key]();
  },
};

app.start().catch((error) => document.body.replaceChildren(h("p", { className: "empty", role: "alert" }, error.message)));
