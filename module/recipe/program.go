// Package recipe compiles recipes: descriptions of a provider's protocol in about
// twenty lines of Caddyfile.
//
// A recipe is a list of lines that are carried out in their order. It has no loops and
// no expressions, and no line depends on the content of a message, so that the coverage
// of each signature is known when the recipe is loaded. [Compile] compiles a recipe to
// a [Program], which is a [scheme.Scheme].
package recipe

import (
	"slices"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// Program is a compiled recipe. It is used by many goroutines at once.
type Program struct {
	name             string
	title            string
	proof, proofNote string
	sources          []string
	options          []Option
	methods          []string
	warnings         []scheme.Warning
	texts            map[string]*text

	ackRoles     []keys.Role
	ackSign      *signature           // of ack sign, or nil
	identities   map[string]body.Path // of options that are not set
	held         []body.Path          // what holds a member of match, perhaps as a string of JSON
	request      *requestBlock
	answer       *incomingBlock
	notification *incomingBlock

	// decisive are the names of the members that say whose message it is: those of
	// match, and of identity.
	decisive map[message.Kind][]string

	description scheme.Description
}

// Title returns the recipe's title.
func (p *Program) Title() string { return p.title }

// Proof returns the evidence for the rule (genuine, vector, clients, documentation or
// guess), and a note on it.
func (p *Program) Proof() (proof, note string) { return p.proof, p.proofNote }

// Sources returns the documents from which the rule was taken.
func (p *Program) Sources() []string { return p.sources }

// Options returns the recipe's options.
func (p *Program) Options() []Option { return p.options }

// OptionNames returns the names of the options.
func (p *Program) OptionNames() []string {
	names := make([]string, len(p.options))
	for i, o := range p.options {
		names[i] = o.Name
	}
	return names
}

// Identities returns the members that unset options would add, by option name.
func (p *Program) Identities() map[string]body.Path { return p.identities }

// Describe returns what does not depend on a message.
func (p *Program) Describe() *scheme.Description { return &p.description }

// Complete adds, encrypts and signs what the recipe says.
func (p *Program) Complete(d *scheme.Draft) error {
	s := &sealing{block: p.request, draft: d, early: slices.ContainsFunc(p.request.encrypted, (*encryption).ofAll)}
	s.env = env{p: p, m: d.Message, keys: d.Keys, now: d.Now, zone: p.request.zone, bytes: s.leaving}
	return s.run()
}

// Covers returns the signatures of a message and what each covers.
func (p *Program) Covers(in *scheme.Incoming) ([]scheme.Signature, error) {
	b := p.block(in.Message.Kind)
	return b.signatures(p.incoming(in), in)
}

// Reveal decrypts and unwraps a verified message.
func (p *Program) Reveal(in *scheme.Incoming) error {
	b := p.block(in.Message.Kind)
	return b.reveal(p.incoming(in), in)
}

// block returns the block for answers or for notifications.
func (p *Program) block(kind message.Kind) *incomingBlock {
	if kind == message.Notification {
		return p.notification
	}
	return p.answer
}

// incoming returns the environment of a message that came in.
func (p *Program) incoming(in *scheme.Incoming) *env {
	m := in.Message
	e := &env{p: p, m: m, keys: in.Keys, now: in.Now, zone: p.block(m.Kind).zone}
	if in.Request != nil {
		e.request = &env{p: p, m: in.Request.Message, keys: in.Keys, now: in.Now, zone: e.zone}
	}
	return e
}

// needs returns the roles that the exchange of a request may need.
func (p *Program) needs(m *message.Message) []keys.Role {
	roles := slices.Clone(p.description.Request.Roles)
	if p.description.Answer != nil {
		roles = append(roles, p.description.Answer.Roles...)
	}
	for _, e := range p.request.encrypted {
		if m.Payload == nil || !e.whole && !hasAny(m.Payload, e.paths) {
			continue
		}
		roles = append(roles, e.roles...)
	}
	return unique(roles)
}

// unique returns the roles, each once, in their order.
func unique(roles []keys.Role) []keys.Role {
	var out []keys.Role
	for _, role := range roles {
		if !slices.Contains(out, role) {
			out = append(out, role)
		}
	}
	return out
}

// hasAny reports whether one of the paths leads to a value that is neither null
// nor empty.
func hasAny(tree *body.Tree, paths []body.Path) bool {
	for _, path := range paths {
		found := false
		tree.Each(path, func(r body.Ref) bool {
			found = !r.Member().IsEmpty()
			return !found
		})
		if found {
			return true
		}
	}
	return false
}

var _ scheme.Scheme = (*Program)(nil)
