package doctor

import (
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/unanswered"
)

// checkRoutes sends made-up requests through the routes of the configuration, and
// fails where one ends in an empty 200.
func (e *examination) checkRoutes() {
	found, err := e.ctx.AppIfConfigured("http")
	if err != nil {
		return // nothing is served
	}
	servers, ok := found.(*caddyhttp.App)
	if !ok {
		return
	}
	const check = "routes"
	open := unanswered.Find(servers)
	for _, r := range open {
		e.failure(check, strings.Join(r.Listen, " "), i18n.Sprintf("%s: %s", r, r.Reason), r.Advice)
	}
	if len(open) == 0 {
		e.ok(check, "http", i18n.Sprintf("no made-up host or path ends in an empty 200"))
	}
}
