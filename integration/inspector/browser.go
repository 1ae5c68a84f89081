package inspector

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// startTime is how long chromium may take to start, on a busy machine.
const startTime = 2 * time.Minute

// ErrNoBrowser says that there is no chromium on PATH.
var ErrNoBrowser = errors.New("there is no chromium on PATH (Debian: apt-get install chromium)")

// Browser is a chromium with a tab, and what went wrong in it.
type Browser struct {
	context.Context

	mu       sync.Mutex
	problems []string
	end      func()
}

// StartBrowser starts chromium with a new profile.
func StartBrowser(ctx context.Context) (*Browser, error) {
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		return nil, ErrNoBrowser
	}
	profile, err := os.MkdirTemp("", "chromium")
	if err != nil {
		return nil, err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(profile), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-sync", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-quic", true), chromedp.Flag("lang", "en-GB"), chromedp.Flag("accept-lang", "en-GB"),
		chromedp.WSURLReadTimeout(startTime))
	allocator, endAllocator := chromedp.NewExecAllocator(ctx, options...)
	tab, endTab := chromedp.NewContext(allocator)
	b := &Browser{Context: tab, end: func() {
		endTab()
		endAllocator()
		_ = os.RemoveAll(profile)
	}}
	chromedp.ListenTarget(tab, b.listen)
	if err := chromedp.Run(tab, log.Enable(), cdpruntime.Enable(), network.Enable()); err != nil {
		b.end()
		return nil, err
	}
	return b, nil
}

// Stop ends the browser.
func (b *Browser) Stop() { b.end() }

// Problems returns what went wrong in the page so far: errors of scripts, lines of the
// console, refused by the policy, and requests to other hosts.
func (b *Browser) Problems() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.problems...)
}

func (b *Browser) listen(event any) {
	problem := ""
	switch e := event.(type) {
	case *cdpruntime.EventExceptionThrown:
		problem = "exception: " + e.ExceptionDetails.Error()
	case *cdpruntime.EventConsoleAPICalled:
		if e.Type == cdpruntime.APITypeError || e.Type == cdpruntime.APITypeWarning {
			for _, a := range e.Args {
				problem += " " + string(a.Value)
			}
			problem = "console:" + problem
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.LevelError || e.Entry.Level == log.LevelWarning {
			problem = "log: " + e.Entry.Text + " " + e.Entry.URL
		}
	case *network.EventRequestWillBeSent:
		if u := e.Request.URL; !strings.HasPrefix(u, "http://127.0.0.1:") && !strings.HasPrefix(u, "data:") && !strings.HasPrefix(u, "about:") {
			problem = "a request to another host: " + u
		}
	}
	if problem == "" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problems = append(b.problems, problem)
}
