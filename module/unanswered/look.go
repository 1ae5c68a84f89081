package unanswered

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// sights says whether the routes of a server sign or take notifications, and which
// hosts and paths they match.
type sights struct {
	concerned    bool // it signs, or takes notifications
	hosts, paths []string
}

// look walks all routes of a server.
func look(server *caddyhttp.Server) sights {
	var s sights
	s.routes(server.Routes)
	for _, route := range server.NamedRoutes {
		s.routes(caddyhttp.RouteList{*route})
	}
	return s
}

func (s *sights) routes(routes caddyhttp.RouteList) {
	for _, route := range routes {
		for _, set := range route.MatcherSets {
			s.matchers(set)
		}
		for _, handler := range route.Handlers {
			s.handler(handler)
		}
	}
}

func (s *sights) handler(handler caddyhttp.MiddlewareHandler) {
	switch h := handler.(type) {
	case *caddyhttp.Subroute:
		s.routes(h.Routes)
	case *reverseproxy.Handler:
		for _, response := range h.HandleResponse {
			s.routes(response.Routes)
		}
	}
	s.concerned = s.concerned || signs(idOf(handler))
}

// signs reports whether a handler signs, or takes notifications.
func signs(id string) bool {
	return id == "http.handlers.countersign" || id == "http.handlers.countersign_notify"
}

// matchers keeps the hosts, and of each pattern of a path the paths that it is
// easily mistaken for: the prefix alone, and one more element behind it.
func (s *sights) matchers(set caddyhttp.MatcherSet) {
	for _, matcher := range set {
		switch m := matcher.(type) {
		case caddyhttp.MatchHost:
			s.addHosts(m)
		case *caddyhttp.MatchHost:
			s.addHosts(*m)
		case caddyhttp.MatchPath:
			s.addPaths(m)
		case *caddyhttp.MatchPath:
			s.addPaths(*m)
		}
	}
}

func (s *sights) addHosts(hosts []string) {
	for _, host := range hosts {
		host = strings.ReplaceAll(host, "*", "made-up")
		if !strings.Contains(host, "{") && !slices.Contains(s.hosts, host) {
			s.hosts = append(s.hosts, host)
		}
	}
}

func (s *sights) addPaths(patterns []string) {
	for _, pattern := range patterns {
		if strings.Contains(pattern, "{") {
			continue
		}
		for _, path := range []string{
			strings.TrimSuffix(strings.TrimSuffix(pattern, "*"), "/"),
			strings.ReplaceAll(pattern, "*", madeUpPath),
		} {
			if strings.HasPrefix(path, "/") && !strings.Contains(path, "*") && !slices.Contains(s.paths, path) {
				s.paths = append(s.paths, path)
			}
		}
	}
}

// idOf returns the name of a module.
func idOf(of any) string {
	if m, ok := of.(caddy.Module); ok {
		return string(m.CaddyModule().ID)
	}
	return ""
}
