package inspector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// page is the inspector's page in a browser.
type page struct {
	*Desk
	*Browser
	t *testing.T
}

const patience = 60 * time.Second

func open(t *testing.T) *page {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	t.Cleanup(cancel)
	browser, err := StartBrowser(ctx)
	if errors.Is(err, ErrNoBrowser) {
		t.Skip("skipped: " + err.Error())
	}
	require.NoError(t, err)
	t.Cleanup(browser.Stop)
	desk, err := StartDesk(ctx)
	require.NoError(t, err)
	t.Cleanup(desk.Stop)
	return &page{desk, browser, t}
}

func (p *page) do(actions ...chromedp.Action) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.Context, patience)
	defer cancel()
	require.NoError(p.t, chromedp.Run(ctx, actions...))
}

// is evaluates an expression of the page.
func (p *page) is(expression string) any {
	p.t.Helper()
	var got any
	p.do(chromedp.Evaluate(expression, &got))
	return got
}

// await waits until an expression of the page is true.
func (p *page) await(expression string) {
	p.t.Helper()
	var got bool
	if !assert.Eventually(p.t, func() bool {
		ctx, cancel := context.WithTimeout(p.Context, patience)
		defer cancel()
		return chromedp.Run(ctx, chromedp.Evaluate("Boolean("+expression+")", &got)) == nil && got
	}, patience, 50*time.Millisecond, expression) {
		p.t.Fatalf("the page has:\n%s", p.is("document.body.innerText.slice(0, 3000)"))
	}
}

func (p *page) load() {
	p.t.Helper()
	p.do(chromedp.Navigate("http://" + p.Page + "/"))
	p.await(`document.body.dataset.ready && document.querySelector(".live:not(.off)")`)
}

func (p *page) pay(path, sample string, want int) {
	p.t.Helper()
	status, err := p.Pay(path, sample)
	require.NoError(p.t, err)
	require.Equal(p.t, want, status)
}

func (p *page) count(selector string) int {
	p.t.Helper()
	return int(p.is(fmt.Sprintf("document.querySelectorAll(%q).length", selector)).(float64))
}

func (p *page) key(keys string) {
	p.t.Helper()
	p.do(chromedp.KeyEvent(keys))
}

// press clicks what a selector finds.
func (p *page) press(selector string) {
	p.t.Helper()
	p.await(fmt.Sprintf("document.querySelector(%q)", selector))
	p.is(fmt.Sprintf("document.querySelector(%q).click()", selector))
}

// fill types a text into a field.
func (p *page) fill(selector, text string) {
	p.t.Helper()
	quoted, err := json.Marshal(text)
	require.NoError(p.t, err)
	p.is(fmt.Sprintf(`(() => { const e = document.querySelector(%q); e.value = %s; e.dispatchEvent(new Event("input", { bubbles: true })); e.dispatchEvent(new Event("change", { bubbles: true })); })()`, selector, quoted))
}

func (p *page) clean(what string) {
	p.t.Helper()
	assert.Empty(p.t, p.Problems(), what)
}

func TestThePage(t *testing.T) {
	p := open(t)
	p.load()
	p.clean("load")
	p.await(`document.querySelector(".empty:not([hidden])").textContent.includes("Nothing yet")`)

	// What happens appears by itself, the newest first.
	p.pay("/easypay/ledger/mpos", "easypay", 200)
	p.await(`document.querySelectorAll(".record.good").length >= 1`)
	p.pay("/easypay/ledger/mpos?fault=wrong_key", "easypay", 502)
	p.await(`document.querySelector(".record.fault")`)
	p.pay("/jeepay/api/division/exec", "jeepay-exec", 200)
	p.await(`[...document.querySelectorAll(".record .tag")].some((e) => e.textContent === "notification")`)
	p.await(`document.querySelectorAll(".record").length >= 5`) // two notifications among them: then all is quiet
	p.await(`document.querySelector(".record.fault .how").textContent.includes("response_signature_invalid")`)
	p.await(`[...document.querySelectorAll(".piece.seal")].some((e) => e.getBoundingClientRect().width >= 1)`)

	t.Run("filter", func(t *testing.T) {
		all := p.count(".record")
		p.fill("#state", "fault")
		assert.Equal(t, 1, p.count(".record"))
		p.fill("#state", "")
		p.fill("#profile", "jeepay")
		assert.Positive(t, p.count(".record"))
		assert.Less(t, p.count(".record"), all)
		p.fill("#profile", "")
		p.fill("#search", "signature_invalid mpos")
		assert.Equal(t, 1, p.count(".record"))
		p.fill("#search", "nothing has this")
		assert.Equal(t, 0, p.count(".record"))
		p.fill("#search", "")
		assert.Equal(t, all, p.count(".record"))
	})

	t.Run("detail", func(t *testing.T) {
		p.press(".record.fault")
		p.await(`document.querySelector(".detail .diagnosis")?.textContent.includes("no key of this set")`)
		assert.Positive(t, p.count(".way .broken"))
		assert.Positive(t, p.count("tr.encrypted"))
		assert.Positive(t, p.count("tr.signature"))
		p.await(`document.querySelector("tr.quiet")`)
		p.await(`document.querySelector(".covered")`)
		p.await(`document.querySelector("pre.canonical").textContent.includes("oriOrgTrace=")`)
		p.press(".toggle input")
		p.await(`getComputedStyle(document.querySelector("tr.same")).display === "none"`)
		p.clean("detail")
	})

	t.Run("send again", func(t *testing.T) {
		for _, fault := range []string{"tampered", "not_json"} {
			before := p.is("location.hash")
			p.press(fmt.Sprintf("button[data-fault=%s]", fault))
			p.await(fmt.Sprintf("location.hash !== %q && document.querySelector('.detail .verdict .tag')", before))
		}
		p.await(`document.querySelector(".detail .reason").textContent.includes("response_invalid")`)
	})

	t.Run("workbench", func(t *testing.T) { p.workbench(t) })
	t.Run("keyboard", func(t *testing.T) { p.keyboard(t) })
	t.Run("languages", func(t *testing.T) { p.languages(t) })
	t.Run("widths", func(t *testing.T) { p.widths(t) })
	t.Run("accessible", func(t *testing.T) { p.accessible(t) })
	p.clean("at the end")
}

func (p *page) workbench(t *testing.T) {
	p.is(`location.hash = "#/workbench/explain"`)
	p.await(`document.querySelector("#text")`)
	p.handler("easypay")
	sample, err := os.ReadFile(Root() + "/caddyfiles/samples/easypay.json")
	require.NoError(t, err)
	p.fill("#text", string(sample))
	p.press("form .primary")
	p.await(`document.querySelector(".result .verdict.good") && document.querySelector(".result pre.canonical").textContent.includes("oriOrgTrace=")`)

	p.is(`location.hash = "#/workbench/diff"`)
	p.await(`document.querySelector("#canonical")`)
	p.fill("#text", p.sent())
	p.fill("#canonical", "a=1&b=2")
	p.press("form .primary")
	p.await(`document.querySelector(".result .side mark")`)

	p.is(`location.hash = "#/workbench/guess"`)
	p.await(`document.querySelector("#message-1")`)
	p.fill("#as", "notification")
	p.fill("#message-0", "mchNo=M1&sign=0123456789ABCDEF0123456789ABCDEF")
	p.handler("jeepay · notification")
	p.press("form .primary")
	p.await(`document.querySelector(".result .verdict.fault")`)
	p.clean("workbench")
}

// handler chooses a handler in the workbench.
func (p *page) handler(name string) {
	p.t.Helper()
	p.is(fmt.Sprintf(`(() => { const s = document.querySelector("#route"); s.value = [...s.options].find((o) => o.textContent === %q).value; s.dispatchEvent(new Event("change")); })()`, name))
}

// sent returns the body of a request as it left.
func (p *page) sent() string {
	p.t.Helper()
	var text string
	p.do(chromedp.Evaluate(`(async () => {
		const list = await (await fetch("records")).json();
		const one = list.records.find((r) => r.kind === "exchange" && r.profile === "easypay");
		return (await (await fetch("records/" + one.id)).json()).bodies.sent.text;
	})()`, &text, awaitPromise))
	require.NotEmpty(p.t, text)
	return text
}

func (p *page) keyboard(t *testing.T) {
	p.is(`location.hash = "#/"`)
	p.await(`document.querySelector(".record")`)
	p.is(`document.activeElement.blur()`)
	p.key("j")
	p.await(`document.activeElement.classList.contains("record")`)
	first := p.is("document.activeElement.dataset.id")
	p.key("j")
	p.await(fmt.Sprintf("document.activeElement.dataset.id !== %q", first))
	p.key("k")
	p.await(fmt.Sprintf("document.activeElement.dataset.id === %q", first))
	p.key(kb.Enter)
	p.await(fmt.Sprintf("location.hash === %q && document.activeElement.classList.contains('detail')", fmt.Sprintf("#/r/%s", first)))
	p.key(kb.Escape)
	p.await(fmt.Sprintf("location.hash === '#/' && document.activeElement.dataset.id === %q", first))
	p.key("f")
	p.await(`document.activeElement.classList.contains("fault")`)
	p.key("/")
	p.await(`document.activeElement.id === "search"`)
	p.key("w")
	p.await(`document.querySelector("#search").value.endsWith("w")`)
	p.fill("#search", "")
	p.key(kb.Escape)
	p.key("?")
	p.await(`document.querySelector("dialog[open]")`)
	p.key(kb.Escape)
	p.await(`!document.querySelector("dialog")`)
	p.key("w")
	p.await(`location.hash.startsWith("#/workbench") && document.querySelector(".workbench form")`)
	p.key("l")
	p.await(`document.querySelector(".record")`)
	// All that can be used is reached with Tab, and shows that it is.
	p.is(`document.activeElement.blur()`)
	seen := make(map[string]bool)
	for range 14 {
		p.key(kb.Tab)
		seen[fmt.Sprint(p.is(`document.activeElement.id || document.activeElement.className || document.activeElement.tagName`))] = true
	}
	for _, want := range []string{"language", "theme", "help", "search", "state", "profile"} {
		assert.True(t, seen[want], "Tab reaches %s: %v", want, seen)
	}
}

func (p *page) languages(t *testing.T) {
	p.is(`location.hash = "#/"`)
	assert.Equal(t, "en", p.is("document.documentElement.lang"))
	p.press("#language")
	p.await(`document.documentElement.lang === "zh-CN" && document.querySelector(".tabs").textContent.includes("工作台")`)
	p.press(".record.fault")
	p.await(`/[\u4e00-\u9fff]/.test(document.querySelector(".detail h2").textContent) && document.querySelector(".callout").textContent.includes("如何处理")`)
	p.is(`location.hash = "#/workbench"`)
	p.await(`document.querySelector(".workbench form").textContent.includes("处理器")`)
	p.do(chromedp.Reload())
	p.await(`document.body.dataset.ready && document.documentElement.lang === "zh-CN"`)
	p.press("#language")
	p.await(`document.documentElement.lang === "en"`)
}

// places returns the views of the page.
func (p *page) places() map[string]string {
	fault := p.is(`(() => { location.hash = "#/"; return document.querySelector(".record.fault")?.dataset.id })()`)
	if fault == nil {
		p.await(`document.querySelector(".record.fault")`)
		fault = p.is(`document.querySelector(".record.fault").dataset.id`)
	}
	return map[string]string{
		"#/": ".record", fmt.Sprintf("#/r/%s", fault): ".detail .callout", "#/workbench/diff": "#canonical", "#/workbench/explain": "#text", "#/workbench/guess": "#message-1",
	}
}

func (p *page) widths(t *testing.T) {
	places := p.places()
	for _, width := range []int64{320, 480, 768, 1024, 1280, 1600} {
		p.do(chromedp.EmulateViewport(width, 900))
		for place, there := range places {
			p.is(fmt.Sprintf("location.hash = %q", place))
			p.await(fmt.Sprintf("document.querySelector(%q)", there))
			assert.LessOrEqual(t, p.is("document.documentElement.scrollWidth"), float64(width), "%s at %d px", place, width)
			assert.Equal(t, true, p.is(`[...document.querySelectorAll("button, input, select, textarea, .record, .tabs a")].filter((e) => e.checkVisibility()).every((e) => { const r = e.getBoundingClientRect(); return r.left >= -1 && r.right <= innerWidth + 1; })`), "%s at %d px: what can be used is on the page", place, width)
		}
	}
	p.do(chromedp.EmulateViewport(1280, 900))
}

// accessible has axe-core look at every view, dark and light, in both languages.
func (p *page) accessible(t *testing.T) {
	axe := axeCore(t)
	places := p.places()
	for _, language := range []string{"en", "zh-CN"} {
		p.is(`location.hash = "#/"`)
		if p.is("document.documentElement.lang") != language {
			p.press("#language")
			p.await(fmt.Sprintf("document.documentElement.lang === %q", language))
		}
		for _, theme := range []string{"light", "dark"} {
			p.do(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}, {Name: "prefers-reduced-motion", Value: "reduce"}}))
			background := p.is("getComputedStyle(document.body).backgroundColor")
			assert.Equal(t, theme == "dark", background == "rgb(14, 19, 26)", "%v in %s", background, theme)
			for _, width := range []int64{360, 1280} {
				p.do(chromedp.EmulateViewport(width, 900))
				for place, there := range places {
					p.is(fmt.Sprintf("location.hash = %q", place))
					p.await(fmt.Sprintf("document.querySelector(%q)", there))
					var violations []string
					p.do(chromedp.Evaluate(axe+"; 0", nil), chromedp.Evaluate(`axe.run(document, { resultTypes: ["violations"] }).then((r) => r.violations.flatMap((v) => v.nodes.map((n) => v.id + ": " + n.target + ": " + n.failureSummary)))`, &violations, chromedp.EvalAsValue, awaitPromise))
					assert.Empty(t, violations, "%s, %s, %s, %d px", place, language, theme, width)
				}
			}
		}
	}
}

// awaitPromise waits for what the page promises.
func awaitPromise(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }

// axeCore returns the text of axe-core, which npm installs beside this file.
func axeCore(t *testing.T) string {
	t.Helper()
	const file = "node_modules/axe-core/axe.min.js"
	if _, err := os.Stat(file); err != nil {
		if _, err := exec.LookPath("npm"); err != nil {
			t.Skip("skipped: there is no npm on PATH to install axe-core with")
		}
		out, err := exec.CommandContext(t.Context(), "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts").CombinedOutput()
		require.NoError(t, err, "npm ci: %s", out)
	}
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.True(t, strings.Contains(string(text), "axe"))
	return string(text)
}
