package recipe

import (
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
)

// token compiles "token <target> <value>", the one statement that sends a secret.
func (c *compiler) token(b *requestBlock, l Line) (func(*sealing) error, error) {
	if len(l.Words) != 3 || len(l.Block) > 0 {
		return nil, l.errorf(`token takes a target and a value, as in: token header.Authorization "Bearer {secret}"`)
	}
	p, err := c.target(b, l, l.Words[1])
	if err != nil {
		return nil, err
	}
	value, err := c.parseTemplate(l.Words[2], false)
	if err != nil {
		return nil, l.errorf("%w", err)
	}
	if !value.has("secret") {
		return nil, l.errorf("token sends no secret; write {secret} into its value, or use set")
	}
	if err := c.noSignature(l, value); err != nil {
		return nil, err
	}
	if err := c.checkValue(l, value, message.Request); err != nil {
		return nil, err
	}
	if err := b.aboveSign(l, p); err != nil {
		return nil, err
	}
	b.tokens++
	b.statements = append(b.statements, statement{token: &assignment{place: p, value: value}})
	var names []string
	for _, p := range value {
		if p.name == "secret" {
			names = append(names, p.arg)
		}
	}
	return func(s *sealing) error {
		e := s.env
		tokens := make(map[string]*keys.Secret)
		for _, name := range names {
			secret, err := s.draft.Token(name)
			if err != nil {
				return err
			}
			tokens[name] = secret
		}
		e.secrets = func(name string) *keys.Secret { return tokens[name] }
		text, err := value.textFor(p, &e)
		if err != nil {
			return err
		}
		return s.put(p, text, false)
	}, nil
}

// tokenRoles returns the roles that tokens need.
func (b *requestBlock) tokenRoles(c *compiler) []keys.Role {
	var roles []keys.Role
	for _, l := range b.line.Block {
		if l.Words[0] == "token" && len(l.Words) == 3 {
			if value, err := c.parseTemplate(l.Words[2], false); err == nil {
				for _, p := range value {
					if p.name == "secret" {
						roles = append(roles, p.secretName())
					}
				}
			}
		}
	}
	return roles
}
