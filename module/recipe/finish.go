package recipe

import (
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
)

// finish fills in the description, once all blocks are compiled.
func (c *compiler) finish(r Recipe) error {
	p, d := c.p, &c.p.description
	d.Kinds = p.keyKinds()
	if b := p.request; b != nil {
		d.Request = c.requestDirection(b)
		d.Needs = p.needs
		for _, path := range b.strings {
			if !path.HasAny() {
				d.Inside = append(d.Inside, path)
			}
		}
		for _, e := range b.encrypted {
			d.Encryption = append(d.Encryption, e.roles...)
		}
		if p.answer != nil {
			c.imply(b, p.answer)
			p.answer.strings = b.strings
			decryptAgain(slices.Concat(p.answer.before, p.answer.after))
		}
	}
	if p.answer != nil {
		c.block = message.Answer
		d.Answer = c.direction(p.answer)
		for _, path := range d.Match {
			if !d.Answer.Covers(path) {
				return c.lineNaming("match", path, p.answer.line).errorf("match body.%s: no signature of the answer covers it, so that anybody could write there what the request has; match a member that is signed", path)
			}
		}
		d.Answer.Reads = append(d.Answer.Reads, d.Match...)
		if d.Result != nil {
			d.Answer.Reads = append(d.Answer.Reads, d.Result)
		}
		if d.Unsigned != nil {
			c.unsignedRule(p.answer, d.Unsigned)
		}
		if p.request != nil && !c.hasMatch() {
			c.warn("an answer is not matched to its request: the recipe has no match")
		}
	}
	if p.notification != nil {
		c.block = message.Notification
		if err := c.notification(p.notification); err != nil {
			return err
		}
	}
	for name, o := range c.options {
		if name != "match" && !r.mentions(name, "{option."+name+"}", &Line{Words: []string{"option"}, At: o.At}) {
			return Line{Words: []string{"option", name}, At: o.At}.errorf("option %s is never used; remove it, or write {option.%s}", name, name)
		}
	}
	c.block = ""
	if p.proof == "guess" && !c.confirmed() {
		c.warn("%s", strings.TrimSpace("how this provider signs is a guess; "+p.proofNote))
	}
	d.Warnings = p.warnings
	p.decisive = map[message.Kind][]string{message.Answer: lastNames(d.Match), message.Notification: lastNames(d.Notify.Identity)}
	return nil
}

// decryptAgain tells each decryption which members are decrypted again by later ones.
func decryptAgain(all []*encryption) {
	var later []body.Path
	for _, e := range slices.Backward(all) {
		e.inner = later
		later = slices.Concat(later, e.paths)
	}
}

// lastNames returns the name at the end of each path.
func lastNames(paths []body.Path) []string {
	names := make([]string, len(paths))
	for i, path := range paths {
		names[i] = path[len(path)-1]
	}
	return names
}

// imply adds to an answer what undoes the encryption of the same members of the
// request, unless the answer says so itself.
func (c *compiler) imply(b *requestBlock, answer *incomingBlock) {
	written := slices.Concat(answer.before, answer.after)
	for _, e := range slices.Backward(b.encrypted) { // what was done last is undone first
		if e.whole || slices.ContainsFunc(written, func(d *encryption) bool {
			return d.whole || slices.ContainsFunc(d.paths, func(path body.Path) bool { return contains(e.paths, path) })
		}) {
			continue
		}
		undo := *e
		undo.implied = true
		undo.role = decryptRole(e)
		if undo.role == keys.Decrypt {
			undo.id = ""
		}
		if undo.envelope != nil {
			v := *undo.envelope
			v.id = ""
			undo.envelope = &v
		}
		undo.roles = undo.decryptRoles()
		answer.after = append(answer.after, &undo)
		if e.envelope == nil && undo.role == keys.Decrypt {
			e.roles = append(e.roles, keys.Decrypt)
		}
	}
}
