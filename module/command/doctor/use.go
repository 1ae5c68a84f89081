package doctor

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/countersign/caddy-countersign/module/app"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/notify"
	"github.com/countersign/caddy-countersign/module/protocol"
	"github.com/countersign/caddy-countersign/module/proxy"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/sandbox"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// The kinds of uses.
const (
	isProxy   = "countersign"
	isNotify  = "countersign_notify"
	isSandbox = "countersign_sandbox"
)

// use is one handler of the configuration that uses keys: the sidecar, the notification
// handler or a sandbox.
type use struct {
	kind       string
	schemeName string
	scheme     scheme.Scheme   // nil for a sandbox
	settings   recipe.Settings // of the scheme's options
	source     string
	reference  keys.Template
	where      string   // what to call it
	listen     []string // where its server listens

	transport *proxy.Transport // of the sidecar
	upstreams []string
	dynamic   bool // upstreams that are only known when there is a request

	once *notify.Once // of a handler of notifications
}

// findUses walks the configuration's servers. It searches the JSON, so that it finds
// handlers at any depth.
func (e *examination) findUses(config []byte) error {
	var parsed struct {
		Apps struct {
			HTTP struct {
				Servers map[string]struct {
					Listen []string `json:"listen"`
					Routes any      `json:"routes"`
					Errors any      `json:"errors"`
					Named  any      `json:"named_routes"`
				} `json:"servers"`
			} `json:"http"`
			Countersign struct {
				Recipes protocol.Recipes `json:"recipes"`
			} `json:"countersign"`
		} `json:"apps"`
	}
	d := json.NewDecoder(bytes.NewReader(config))
	d.UseNumber()
	if err := d.Decode(&parsed); err != nil {
		return i18n.Errorf("reading the configuration: %w", err)
	}
	servers := parsed.Apps.HTTP.Servers
	for _, name := range slices.Sorted(maps.Keys(servers)) {
		server := servers[name]
		for _, listen := range server.Listen {
			if address, err := caddy.ParseNetworkAddress(listen); err == nil {
				e.own = append(e.own, address)
			}
		}
		for _, tree := range []any{server.Routes, server.Errors, server.Named} {
			err := walk(tree, func(handler map[string]any) error {
				u, err := newUse(handler, parsed.Apps.Countersign.Recipes)
				if u != nil {
					u.listen = server.Listen
					e.uses = append(e.uses, u)
				}
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// walk calls visit for each object of a tree, in a fixed order.
func walk(tree any, visit func(map[string]any) error) error {
	switch node := tree.(type) {
	case map[string]any:
		if err := visit(node); err != nil {
			return err
		}
		for _, key := range slices.Sorted(maps.Keys(node)) {
			if err := walk(node[key], visit); err != nil {
				return err
			}
		}
	case []any:
		for _, child := range node {
			if err := walk(child, visit); err != nil {
				return err
			}
		}
	}
	return nil
}

// newUse returns the use that an object of the configuration is, or nil.
func newUse(object map[string]any, recipes protocol.Recipes) (*use, error) {
	switch object["handler"] {
	case "reverse_proxy":
		transport, _ := object["transport"].(map[string]any)
		if transport["protocol"] != "countersign" {
			return nil, nil
		}
		return newProxyUse(object, transport, recipes)
	case "countersign_notify":
		var h notify.Handler
		if err := decode(object, &h); err != nil {
			return nil, err
		}
		u := &use{kind: isNotify, source: h.Source, where: describe(isNotify, h.Profile, h.Line), once: h.Once}
		return u, u.configure(h.Scheme, recipes, h.Reference)
	case "countersign_sandbox":
		var h sandbox.Handler
		if err := decode(object, &h); err != nil {
			return nil, err
		}
		u := &use{kind: isSandbox, schemeName: h.Scheme, settings: h.Options, source: h.Source, where: describe(isSandbox, h.Scheme, h.Line)}
		return u, u.refer(h.Reference)
	}
	return nil, nil
}

func newProxyUse(object, transport map[string]any, recipes protocol.Recipes) (*use, error) {
	var h reverseproxy.Handler
	if err := decode(object, &h); err != nil {
		return nil, err
	}
	u := &use{kind: isProxy, transport: new(proxy.Transport), dynamic: len(h.DynamicUpstreamsRaw) > 0}
	if err := decode(transport, u.transport); err != nil {
		return nil, err
	}
	for _, upstream := range h.Upstreams {
		u.upstreams = append(u.upstreams, upstream.Dial)
	}
	u.source = u.transport.Source
	u.where = describe(isProxy, u.transport.Profile, u.transport.Line)
	return u, u.configure(u.transport.Scheme, recipes, u.transport.Reference)
}

// decode reads an object of the tree into a value of its type.
func decode(object map[string]any, into any) error {
	text, err := json.Marshal(object)
	if err != nil {
		return i18n.Errorf("reading the configuration: %w", err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return i18n.Errorf("reading the configuration: %w", err)
	}
	return nil
}

// configure makes the scheme and reads the reference.
func (u *use) configure(c protocol.Config, recipes protocol.Recipes, reference string) error {
	s, err := c.Load(recipes)
	if err != nil {
		return i18n.Errorf("the scheme of %s: %w", u.where, err)
	}
	u.schemeName, u.scheme, u.settings = c.Name, s, c.Settings
	if u.where == u.kind || strings.HasPrefix(u.where, u.kind+" (") {
		u.where = u.kind + " " + c.Name + strings.TrimPrefix(u.where, u.kind)
	}
	return u.refer(reference)
}

func (u *use) refer(reference string) (err error) {
	u.reference, err = app.ParseReference(reference)
	return err
}

// describe returns what to call a use.
func describe(kind, profile, line string) string {
	text := kind
	if profile != "" {
		text += " " + profile
	}
	if line != "" {
		text += " (" + line + ")"
	}
	return text
}
