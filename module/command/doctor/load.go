package doctor

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/countersign/caddy-countersign/module/app"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/keysource"
)

const (
	loadTimeout = 20 * time.Second // of one key set
	maxListed   = 200              // key sets that are checked for a reference with {body.x}
)

// loadedSet is a key set with those who use it.
type loadedSet struct {
	*keys.Set
	name   string // the source and the reference, as in the Caddyfile
	source string
	uses   []*use
}

// checkSources probes each source, and loads the sets that the uses name.
func (e *examination) checkSources(sources []app.Source) {
	for _, s := range sources {
		terms := s.Terms()
		subject := "keys " + terms.Kind
		if terms.Name != "" {
			subject += " " + terms.Name
		}
		if e.skips(s) {
			e.ok("key source", subject, i18n.Sprintf("it lies beyond this machine and was not asked, so that no key of it was looked at; --online asks it"))
			continue
		}
		ctx, cancel := context.WithTimeout(e.ctx, loadTimeout)
		err := s.Probe(ctx)
		cancel()
		if err != nil {
			e.failure("key source", subject, err.Error(), i18n.Sprintf("make the source reachable for the user that Caddy runs as"))
			continue
		}
		e.ok("key source", subject, i18n.Sprintf("it answers"))
		for _, u := range e.uses {
			if u.source == terms.Name {
				e.load(s, u)
			}
		}
	}
}

// skips reports whether a source is on another machine and Options.Online is not set.
func (e *examination) skips(s app.Source) bool {
	r, ok := s.Source.(keysource.Remote)
	return ok && !e.online && r.Beyond()
}

// load loads the set that a use names, or all that a reference with {body.x}
// can name.
func (e *examination) load(s app.Source, u *use) {
	references := []string{u.reference.String()}
	if u.reference.Dynamic() {
		references = e.matching(s, u)
	}
	for _, reference := range references {
		name := strings.TrimSpace(u.source + " " + reference)
		if known, ok := e.loaded[name]; ok {
			if known != nil {
				known.uses = append(known.uses, u)
			}
			continue
		}
		ctx, cancel := context.WithTimeout(e.ctx, loadTimeout)
		set, err := s.Load(ctx, reference, nil)
		cancel()
		if err != nil {
			e.loaded[name] = nil
			advice := i18n.Sprintf("correct it; the error says where")
			if errors.Is(err, keys.ErrUnknown) {
				advice = i18n.Sprintf("put the keys there, or correct the reference at %s", u.where)
			}
			e.failure("keys", name, err.Error(), advice)
			continue
		}
		e.loaded[name] = &loadedSet{Set: set, name: name, source: u.source, uses: []*use{u}}
		e.names = append(e.names, name)
		e.ok("keys", name, i18n.Sprintf("they load: %s", holds(set)))
		for role, err := range set.Broken {
			e.warning("key file", name+" "+string(role), err.Error(), i18n.Sprintf("correct it, or remove it where no message needs it"))
		}
		for _, warning := range set.Warnings {
			e.warning("key file", name, warning, i18n.Sprintf("correct it"))
		}
	}
}

var member = regexp.MustCompile(`\\\{body\\\.[^}]*\\\}`)

// matching returns the references of a source that a reference with {body.x} can
// name.
func (e *examination) matching(s app.Source, u *use) []string {
	lister, ok := s.Source.(keysource.Lister)
	if !ok {
		e.warning("keys", u.reference.String(), i18n.Sprintf("which keys it names depends on the request, so that none was looked at"), i18n.Sprintf("look at each key set once, with a configuration that names it"))
		return nil
	}
	listed, err := lister.References(e.ctx, maxListed)
	if err != nil {
		e.failure("keys", u.reference.String(), err.Error(), i18n.Sprintf("let the user that Caddy runs as read the folder"))
		return nil
	}
	pattern := regexp.MustCompile("^" + member.ReplaceAllString(regexp.QuoteMeta(u.reference.String()), "[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}") + "$")
	listed = slices.DeleteFunc(listed, func(reference string) bool { return !pattern.MatchString(reference) })
	if len(listed) == 0 {
		e.failure("keys", u.reference.String(), i18n.Sprintf("no key set has a name that fits"), i18n.Sprintf("put the keys there, or correct the reference at %s", u.where))
	}
	return listed
}

// holds lists the roles of a set.
func holds(set *keys.Set) string {
	var roles []string
	for _, role := range keys.Roles {
		switch n := len(set.Fingerprints(role)); n {
		case 0:
		case 1:
			roles = append(roles, string(role))
		default:
			roles = append(roles, i18n.Sprintf("%s (%d keys)", role, n))
		}
	}
	return strings.Join(roles, ", ")
}

// diagnoseSources runs the checks of the sources themselves.
func (e *examination) diagnoseSources(sources []app.Source) {
	for _, s := range sources {
		d, ok := s.Source.(keysource.Doctor)
		if !ok || e.skips(s) {
			continue
		}
		for _, f := range d.Diagnose(e.ctx, e.references(s.Terms().Name)) {
			e.add(f)
		}
	}
}

// references returns those of a source that the configuration names, whether they
// have loaded or not, and those that a reference with {body.x} can name.
func (e *examination) references(source string) []string {
	var out []string
	for _, u := range e.uses {
		if u.source == source && !u.reference.Dynamic() {
			out = append(out, u.reference.String())
		}
	}
	for _, name := range e.names {
		if set := e.loaded[name]; set.source == source {
			out = append(out, set.Reference)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
