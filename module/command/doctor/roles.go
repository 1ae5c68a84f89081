package doctor

import (
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/keys/devkeys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/network"
	"github.com/countersign/caddy-countersign/module/sandbox"
)

// checkUses checks each use against its keys.
func (e *examination) checkUses() {
	for _, u := range e.uses {
		e.checkScheme(u)
		for _, name := range e.names {
			set := e.loaded[name]
			if slices.Contains(set.uses, u) {
				e.checkRoles(u, set)
				e.checkDevelopment(u, set)
			}
		}
	}
}

// checkScheme reports the warnings of the scheme, and the risks of its use.
func (e *examination) checkScheme(u *use) {
	if u.scheme != nil {
		for _, warning := range u.scheme.Describe().Warnings {
			if note, ok := strings.CutPrefix(warning.Text, "how this provider signs is a guess"); ok {
				reason := i18n.Sprintf("how this provider signs is a guess")
				if note = strings.TrimPrefix(note, "; "); note != "" {
					reason = i18n.Sprintf("how this provider signs is a guess: %s", i18n.Translate(note))
				}
				e.warning("scheme", u.where, reason, i18n.Sprintf("confirm the rule with the provider before the first payment"))
			}
		}
	}
	if u.kind == isSandbox && !sandbox.ByHand(u.schemeName) {
		e.checkSandbox(u)
	}
	e.checkOnce(u)
	if u.kind != isProxy {
		return
	}
	e.checkGuard(u)
	if u.transport.UnsignedResponses == "pass" {
		e.warning("scheme", u.where, i18n.Sprintf("unsigned_responses pass: answers that nobody signed reach the application"), i18n.Sprintf("reject them, or have the application look at Countersign-Verified"))
	}
	for _, listen := range u.listen {
		if listensBeyond(listen) {
			e.warning("listener", u.where, i18n.Sprintf("its server listens on %s, beyond this machine: whoever reaches it gets requests signed", listen), i18n.Sprintf("add `bind 127.0.0.1` to the site"))
		}
	}
}

// checkSandbox reports what a sandbox of a recipe proves, and whether its options are
// those of the sidecar; with other options it refuses every request.
func (e *examination) checkSandbox(u *use) {
	e.ok("sandbox", u.where, i18n.Sprintf("it is made from the same recipe as the sidecar: it shows whether an application works with it, and does not prove the rule"))
	for _, other := range e.uses {
		if other.kind != isSandbox && other.schemeName == u.schemeName && !maps.EqualFunc(other.settings, u.settings, slices.Equal[[]string]) {
			e.warning("sandbox", u.where, i18n.Sprintf("%s sets other options of the recipe, so that one may refuse what the other signs", other.where), i18n.Sprintf("give both the same options"))
		}
	}
}

// checkRoles checks that a set has the roles that a use needs.
func (e *examination) checkRoles(u *use, set *loadedSet) {
	var must, may []keys.Role
	switch u.kind {
	case isProxy:
		empty, err := body.Parse([]byte("{}"))
		if err != nil {
			return
		}
		m := message.New(message.Request)
		m.SetPayload(empty)
		must = u.scheme.Describe().Needs(m)
	case isNotify:
		must = u.scheme.Describe().Notification.Roles
	default:
		return
	}
	if u.kind == isProxy {
		for _, role := range u.scheme.Describe().Encryption {
			if !slices.Contains(must, role) && !slices.Contains(may, role) {
				may = append(may, role)
			}
		}
	}
	missing := len(e.findings)
	for _, role := range must {
		if err := set.Broken[role]; err != nil {
			e.failure("roles", set.name, i18n.Sprintf("%s needs the role %s, which cannot be used: %v", u.where, role, err), i18n.Sprintf("correct it"))
		} else if !set.Has(role) {
			e.failure("roles", set.name, i18n.Sprintf("%s needs the role %s, and the key set lacks it: every message would fail", u.where, role), i18n.Sprintf("add it to the source"))
		}
	}
	for _, role := range may {
		if !set.Has(role) {
			e.warning("roles", set.name, i18n.Sprintf("%s needs the role %s for requests with encrypted members, and the key set lacks it", u.where, role), i18n.Sprintf("add it to the source, unless no request has such a member"))
		}
	}
	if err := u.checkKinds(set.Set); err != nil {
		e.failure("roles", set.name, u.where+": "+i18n.Of(err).String(), i18n.Sprintf("put a key of the right kind there: `keys show` tells which kind each key of a set is"))
	}
	if len(e.findings) == missing {
		e.ok("roles", set.name, i18n.Sprintf("%s has what it needs", u.where))
	}
}

// checkKinds returns an error if the keys of a set are not of the kind that a use
// needs.
func (u *use) checkKinds(set *keys.Set) error {
	d := u.scheme.Describe()
	if u.kind == isNotify {
		return d.CheckKinds(set, d.Notification.Roles...)
	}
	return d.CheckKinds(set)
}

// checkDevelopment finds the published keys of keys-dev.
func (e *examination) checkDevelopment(u *use, set *loadedSet) {
	if u.kind == isSandbox || !developmentKeys(set.Set) {
		return
	}
	if u.dynamic || slices.ContainsFunc(u.upstreams, isPublic) || u.kind == isNotify && slices.ContainsFunc(u.listen, listensBeyond) {
		e.failure("development keys", set.name, i18n.Sprintf("%s uses keys of keys-dev, which everybody has, beyond this machine", u.where), i18n.Sprintf("use keys of your own"))
	} else {
		e.ok("development keys", set.name, i18n.Sprintf("they are keys of keys-dev, and serve this machine only"))
	}
}

// isPublic reports whether an upstream is on another machine.
func isPublic(dial string) bool {
	address, err := caddy.ParseNetworkAddress(dial)
	return err != nil || !network.Local(address.Network, address.Host)
}

// listensBeyond reports whether a listener can be reached from other machines. One
// without a host listens on all addresses.
func listensBeyond(listen string) bool {
	address, err := caddy.ParseNetworkAddress(listen)
	return err != nil || address.Host == "" || !network.Local(address.Network, address.Host)
}

func developmentKeys(set *keys.Set) bool {
	for _, role := range []keys.Role{keys.Sign, keys.Verify, keys.Encrypt, keys.Decrypt} {
		if slices.ContainsFunc(set.Fingerprints(role), devkeys.Known) {
			return true
		}
	}
	return slices.ContainsFunc(set.VerifySecrets, func(s *keys.Secret) bool { return devkeys.Known(s.SHA256()) })
}
