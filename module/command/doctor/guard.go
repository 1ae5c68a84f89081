package doctor

import (
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/stores"
)

// checkGuard checks the guardrails of a use, and their stores.
func (e *examination) checkGuard(u *use) {
	g := u.transport.Guard
	if g == nil || len(g.Rules) == 0 {
		return
	}
	if g.Report {
		e.warning("guardrails", u.where, i18n.Sprintf("guard report: every request passes, and what the guardrails would refuse is only logged"), i18n.Sprintf("remove the line guard report once the limits are known"))
	}
	if err := g.Provision(e.ctx, u.where); err != nil {
		e.failure("guardrails", u.where, err.Error(), i18n.Sprintf("correct it"))
		return
	}
	for _, used := range g.Stores() {
		subject := u.where + ", " + used.Rule
		if !e.checkStore(subject, used.Store, i18n.Sprintf("start the store, or correct its address: without it every payment is refused with store_unavailable")) {
			continue
		}
		if f, ok := used.Store.(stores.Forgetter); ok {
			if reason := f.Forgets(e.ctx); reason != "" {
				e.warning("store", subject, reason, i18n.Sprintf("share a Redis with appendonly yes, appendfsync always and maxmemory-policy noeviction, or accept it"))
			}
		}
	}
}

// checkOnce checks the store in which a handler of notifications remembers them.
func (e *examination) checkOnce(u *use) {
	if u.once == nil {
		return
	}
	store, err := u.once.Open(e.ctx)
	if err != nil {
		e.failure("store", u.where, err.Error(), i18n.Sprintf("correct it"))
		return
	}
	e.checkStore(u.where+", once", store, i18n.Sprintf("start the store, or correct its address: without it every notification is refused with store_unavailable"))
}

// checkStore asks a store whether it does what is needed, and reports whether it was
// asked and does.
func (e *examination) checkStore(subject string, store any, advice string) bool {
	if r, ok := store.(stores.Remote); ok && r.Remote() && !e.online {
		e.ok("store", subject, i18n.Sprintf("it lies beyond this machine and was not asked; --online asks it"))
		return false
	}
	if p, ok := store.(stores.Prober); ok {
		if err := p.Probe(e.ctx); err != nil {
			e.failure("store", subject, err.Error(), advice)
			return false
		}
		e.ok("store", subject, i18n.Sprintf("it does what the rule needs"))
	}
	return true
}
