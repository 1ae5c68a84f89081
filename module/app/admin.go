package app

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
)

func init() {
	caddy.RegisterModule(new(Admin))
}

// Admin adds to Caddy's admin endpoint:
//
//	GET  /countersign/keys          references, roles, fingerprints, versions and ages
//	POST /countersign/keys/refresh  looks at the keys now, and answers with them
//
// A refresh answers 502 if the load of a key set fails that the configuration names or
// that has loaded before. The error of a set that only a request has named and that
// never loaded is in the answer, and does not change the status.
//
// No answer holds a key. Whoever reaches the admin endpoint can reconfigure Caddy: turn
// it off, or use a Unix socket of mode 0600.
type Admin struct{}

// CaddyModule returns the Caddy module information.
func (*Admin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.countersign",
		New: func() caddy.Module { return new(Admin) },
	}
}

// Provision refuses a start beside a process that listens on the same port. Caddy
// provisions admin routers before it listens for the admin endpoint: later it would have
// taken the other process's admin socket, with which that one is reloaded.
func (*Admin) Provision(ctx caddy.Context) error {
	found, err := ctx.AppIfConfigured("countersign")
	app, ok := found.(*App)
	if err != nil || !ok {
		return nil //nolint:nilerr // Caddy reports it when it loads the apps
	}
	return app.checkPorts()
}

// Routes returns the routes of the admin endpoint.
func (*Admin) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: "/countersign/keys", Handler: caddy.AdminHandlerFunc(serveKeys)},
		{Pattern: "/countersign/keys/refresh", Handler: caddy.AdminHandlerFunc(serveRefresh)},
	}
}

// active returns the app of the configuration that runs now. An admin router is
// made once and outlives configurations, so it must not keep one.
func active() (*App, error) {
	ctx := caddy.ActiveContext()
	if ctx.Context != nil {
		if found, err := ctx.AppIfConfigured("countersign"); err == nil {
			if app, ok := found.(*App); ok {
				return app, nil
			}
		}
	}
	return nil, caddy.APIError{HTTPStatus: http.StatusNotFound, Err: i18n.Errorf("the running configuration has no countersign app")}
}

// keyView is the JSON of one key set in the answers of the admin endpoint.
type keyView struct {
	Source       string                 `json:"source"`
	Reference    string                 `json:"reference"`
	Configured   bool                   `json:"configured"`
	Usable       bool                   `json:"usable"`
	Roles        []keys.Role            `json:"roles"`
	Fingerprints map[keys.Role][]string `json:"fingerprints"`
	Version      string                 `json:"version,omitempty"`
	Loaded       *time.Time             `json:"loaded,omitempty"`
	AgeSeconds   float64                `json:"age_seconds"`
	Error        string                 `json:"error,omitempty"`
}

func serveKeys(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: i18n.Errorf("only GET is allowed")}
	}
	app, err := active()
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, app.view())
}

func serveRefresh(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost {
		return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: i18n.Errorf("only POST is allowed")}
	}
	app, err := active()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), 30*time.Second)
	defer cancel()
	var failed []error
	for _, s := range app.sources {
		failed = append(failed, s.ring.Refresh(ctx))
	}
	if err := errors.Join(failed...); err != nil {
		return caddy.APIError{HTTPStatus: http.StatusBadGateway, Err: i18n.Errorf("refreshing the keys: %w", err)}
	}
	return answer(w, http.StatusOK, app.view())
}

func (a *App) view() []keyView {
	views := []keyView{}
	for _, s := range a.sources {
		for _, status := range s.ring.Status() {
			v := keyView{
				Source: s.terms.Label(), Reference: status.Reference, Configured: status.Configured,
				Usable: status.Usable, AgeSeconds: status.Age.Seconds(), Error: status.Error,
				Roles: []keys.Role{}, Fingerprints: map[keys.Role][]string{},
			}
			if status.Set != nil {
				v.Version, v.Loaded = status.Set.Version, &status.Set.Loaded
				v.Fingerprints = Fingerprints(status.Set)
				v.Roles = append(v.Roles, status.Set.Roles()...)
			}
			views = append(views, v)
		}
	}
	return views
}

func answer(w http.ResponseWriter, status int, body any) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	return json.NewEncoder(w).Encode(body)
}

var _ caddy.AdminRouter = (*Admin)(nil)
