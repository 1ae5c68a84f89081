// Package doctor checks a configuration before the first payment, as far as that is
// possible without sending one.
//
// It provisions the configuration without starting it, loads the keys, checks each
// private key with its public half, and sends each upstream one unsigned HEAD. It
// changes nothing, and no finding holds a key, a secret or a token.
package doctor

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/countersign/caddy-countersign/module/app"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/keysource"
)

// Adapt reads a configuration file and makes JSON of it. Without the name of an adapter
// a file is a Caddyfile if its name says so (Caddyfile, x.Caddyfile), and JSON
// otherwise, as for the other commands of Caddy.
func Adapt(file, adapter string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, i18n.Errorf("reading the configuration: %w", err)
	}
	name := strings.ToLower(filepath.Base(file))
	if adapter == "" && filepath.Ext(name) != ".json" && (strings.HasPrefix(name, "caddyfile") || strings.HasSuffix(name, ".caddyfile")) {
		adapter = "caddyfile"
	}
	if adapter == "" {
		if !json.Valid(text) {
			return nil, i18n.Errorf("%s is not JSON; name its adapter, as in: --adapter caddyfile", file)
		}
		return text, nil
	}
	a := caddyconfig.GetAdapter(adapter)
	if a == nil {
		return nil, i18n.Errorf("unknown adapter %q", adapter)
	}
	adapted, _, err := a.Adapt(text, map[string]any{"filename": file})
	if err != nil {
		return nil, i18n.Errorf("adapting %s: %w", file, err)
	}
	return adapted, nil
}

// Options of an examination.
type Options struct {
	Online bool // also check what is on other machines
}

// examination is one run of the doctor.
type examination struct {
	findings []keysource.Finding
	online   bool
	ctx      caddy.Context // of the provisioned configuration
	uses     []*use
	own      []caddy.NetworkAddress // where the configuration itself listens
	now      func() time.Time
	loaded   map[string]*loadedSet // by name
	names    []string              // of loaded, in the order of the configuration
}

// Examine checks a configuration in JSON.
func Examine(ctx context.Context, config []byte, options Options) []keysource.Finding {
	e := &examination{online: options.Online, now: time.Now, loaded: make(map[string]*loadedSet)}
	var cfg caddy.Config
	if err := caddy.StrictUnmarshalJSON(caddy.RemoveMetaFields(config), &cfg); err != nil {
		e.failure("configuration", "caddy", i18n.Sprintf("it is not a configuration of Caddy: %s", err.Error()), i18n.Sprintf("run caddy validate"))
		return e.findings
	}
	e.checkAdmin(cfg.Admin)
	// The doctor opens no log file and prints only its findings.
	cfg.Logging = &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{Level: "FATAL"}}}}
	provisioned, err := caddy.ProvisionContext(&cfg)
	if err != nil {
		e.failure("configuration", "caddy", i18n.Sprintf("it does not load: %s", err.Error()), i18n.Sprintf("correct it; caddy validate says the same"))
		return e.findings
	}
	provisioned.Context = ctx
	e.ctx = provisioned
	if err := e.findUses(config); err != nil {
		e.failure("configuration", "caddy", err.Error(), i18n.Sprintf("correct it"))
		return e.findings
	}
	found, err := provisioned.AppIfConfigured("countersign")
	if err != nil || len(e.uses) == 0 {
		e.failure("configuration", "caddy", i18n.Sprintf("nothing in it is of countersign"), i18n.Sprintf("give the configuration of the sidecar"))
		return e.findings
	}
	e.ok("configuration", "caddy", i18n.Sprintf("it loads"))
	a, ok := found.(*app.App)
	if !ok {
		return e.findings
	}
	defer func() { _ = a.Cleanup() }() // closes the connections of the sources; an error changes no finding
	e.checkArithmetic()
	e.checkRoutes()
	e.checkSources(a.Sources())
	e.checkUses()
	e.checkSets()
	e.checkSides()
	e.diagnoseSources(a.Sources())
	e.checkUpstreams()
	return e.findings
}

// checkArithmetic reports which implementation computes with RSA private keys on this
// machine.
func (e *examination) checkArithmetic() {
	implementation, err := keys.Arithmetic()
	if err != nil {
		e.warning("arithmetic", "RSA", i18n.Sprintf("this binary is built for OpenSSL, and Go computes in its place, about three times as slow: %v", err), i18n.Sprintf("install OpenSSL 3 (Debian: apt-get install libssl3), or take the static build"))
		return
	}
	e.ok("arithmetic", "RSA", i18n.Sprintf("%s computes with private keys in memory", implementation))
}

// Err returns an error if one of the findings is a failure.
func Err(findings []keysource.Finding) error {
	n := 0
	for _, f := range findings {
		if f.Status == keysource.Failure {
			n++
		}
	}
	switch n {
	case 0:
		return nil
	case 1:
		return i18n.Errorf("1 check failed")
	default:
		return i18n.Errorf("%d checks failed", n)
	}
}

func (e *examination) ok(check, subject, reason string) {
	e.add(keysource.Finding{Check: check, Subject: subject, Status: keysource.OK, Reason: reason})
}

func (e *examination) warning(check, subject, reason, advice string) {
	e.add(keysource.Finding{Check: check, Subject: subject, Status: keysource.Warning, Reason: reason, Advice: advice})
}

func (e *examination) failure(check, subject, reason, advice string) {
	e.add(keysource.Finding{Check: check, Subject: subject, Status: keysource.Failure, Reason: reason, Advice: advice})
}

// add keeps each finding once: two profiles may share a key set or an upstream.
func (e *examination) add(f keysource.Finding) {
	for _, known := range e.findings {
		if known == f {
			return
		}
	}
	e.findings = append(e.findings, f)
}
