// Command screenshots makes the pictures of the inspector for the README:
//
//	cd integration/inspector && go run ./screenshots
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	inspector "github.com/countersign/caddy-countersign/integration/inspector"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type shot struct {
	name, theme, hash, until, script string
	width, height                    int64
}

func run() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	browser, err := inspector.StartBrowser(ctx)
	if err != nil {
		return err
	}
	defer browser.Stop()
	desk, err := inspector.StartDesk(ctx)
	if err != nil {
		return err
	}
	defer desk.Stop()
	for _, p := range [][2]string{
		{"/hkrt/api/v1/delay-ledger/ledger", "hkrt"}, {"/easypay/ledger/mpos", "easypay"}, {"/hbsk/share/apply", "hbsk"}, {"/jeepay/api/division/exec", "jeepay-exec"},
		{"/jeepay-rsa2/api/division/receiver/bind", "jeepay-bind"}, {"/easypay/ledger/mpos?fault=not_json", "easypay"}, {"/hongwen/gateway.do", "hongwen"},
		{"/easypay/ledger/mpos?fault=wrong_key", "easypay"}, {"/easypay/ledger/mpos", "easypay"},
	} {
		if _, err := desk.Pay(p[0], p[1]); err != nil {
			return err
		}
		time.Sleep(300 * time.Millisecond) // notifications come in between
	}
	folder := filepath.Join(inspector.Root(), "module", "inspector", "screenshots")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for _, s := range []shot{
		{"list", "light", "#/", ".record.fault", "", 1180, 720},
		{"fault", "light", "fault", ".detail .diagnosis", "", 1280, 860},
		{"way", "dark", "good", ".detail table.sides", `document.querySelector(".detail .sides").scrollIntoView({ block: "start" }); scrollBy(0, -140)`, 1280, 860},
	} {
		if err := s.take(browser, desk, folder); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

func (s shot) take(browser *inspector.Browser, desk *inspector.Desk, folder string) error {
	hash := fmt.Sprintf("%q", s.hash)
	if s.hash == "fault" || s.hash == "good" {
		hash = fmt.Sprintf(`"#/r/" + [...document.querySelectorAll(".record.%s")].find((e) => e.textContent.includes("/ledger/mpos") && !/response_invalid/.test(e.textContent)).dataset.id`, s.hash)
	}
	var picture []byte
	err := chromedp.Run(browser.Context,
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: s.theme}, {Name: "prefers-reduced-motion", Value: "reduce"}}),
		chromedp.EmulateViewport(s.width, s.height),
		chromedp.Navigate("http://"+desk.Page+"/"),
		chromedp.Poll(`document.body.dataset.ready && document.querySelector(".record.fault")`, nil),
		chromedp.Evaluate("location.hash = "+hash, nil),
		chromedp.Poll(fmt.Sprintf("document.querySelector(%q)", s.until), nil),
		chromedp.Evaluate("document.activeElement.blur(); "+s.script+"; 0", nil),
		chromedp.Sleep(500*time.Millisecond),
		chromedp.CaptureScreenshot(&picture))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, s.name+".png"), picture, 0o644)
}
