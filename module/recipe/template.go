package recipe

import (
	"bytes"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// template is a text with placeholders.
type template []part

// part is a literal text, or a placeholder.
type part struct {
	literal string
	name    string // of the placeholder, such as "body" or "time"; "" for a literal
	path    body.Path
	arg     string // the rest of the name
	key     string // of a header's part
	n       int    // of a nonce
	hex     bool
	request bool // {request.…}
	bare    bool // {x} of a template that an option gives

	kind     string     // of a bare one: "string", "digits" or "", any scalar
	fallback []template // of a bare one that the message does not have
}

// caddyNames are what Caddy makes of short placeholders in a site block.
var caddyNames = strings.NewReplacer(
	"{http.request.uri.query.", "{query.", "{http.request.header.", "{header.", "{http.request.method}", "{method}",
	"{http.request.uri.path}", "{path}", "{http.request.uri.query}", "{query}", "{http.request.uri}", "{uri}",
	"{http.request.host}", "{host}", "{http.request.uuid}", "{uuid}",
)

// parseTemplate reads a template. Literal braces are written "\{" and "\}". Where
// the text comes from an option a name without a dot is that of a member.
func (c *compiler) parseTemplate(text string, fromOption bool) (template, error) {
	text = caddyNames.Replace(text)
	var t template
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			t = append(t, part{literal: literal.String()})
			literal.Reset()
		}
	}
	for i := 0; i < len(text); i++ {
		switch ch := text[i]; ch {
		case '\\':
			i++
			if i == len(text) {
				return nil, i18n.Errorf(`the text ends in a single \; write \\`)
			}
			switch text[i] {
			case 'n':
				literal.WriteByte('\n')
			case 't':
				literal.WriteByte('\t')
			case 'r':
				literal.WriteByte('\r')
			case '\\', '{', '}', '"':
				literal.WriteByte(text[i])
			default:
				return nil, i18n.Errorf(`unknown escape \%c; there are \n, \t, \r, \\, \{ and \}`, text[i])
			}
		case '{':
			end := strings.IndexByte(text[i:], '}')
			if end < 0 {
				return nil, i18n.Errorf(`a { has no }; a literal brace is written \{`)
			}
			p, err := c.placeholder(text[i+1:i+end], fromOption)
			if err != nil {
				return nil, err
			}
			if p.name == "" {
				literal.WriteString(p.literal)
			} else {
				flush()
				t = append(t, p)
			}
			i += end
		case '}':
			if fromOption {
				return nil, i18n.Errorf(`a } stands without its {; a literal brace is written \}`)
			}
			literal.WriteByte(ch)
		default:
			literal.WriteByte(ch)
		}
	}
	flush()
	return t, nil
}

// isLayout reports whether a text is a layout of Go's package time: one that has
// no element, such as YYYY, would stand in every message as it is written.
func isLayout(text string) bool {
	return time.Date(1999, time.November, 30, 22, 58, 59, 987654321, time.UTC).Format(text) != text
}

// bareNames are the placeholders without a dot. In a text that an option gives any other
// name without a dot is a member's.
var bareNames = []string{"body", "secret", "query", "method", "path", "uri", "host", "url", "status", "uuid", "signature"}

// placeholder reads the name between two braces.
func (c *compiler) placeholder(name string, fromOption bool) (part, error) {
	unknown := i18n.Errorf(`unknown placeholder {%s}; see the list in the documentation of recipes, and write a literal brace as \{`, name)
	if strings.Contains(name, "{") {
		return part{}, unknown
	}
	head, rest, dotted := strings.Cut(name, ".")
	if !dotted && fromOption && !slices.Contains(bareNames, head) {
		return part{name: "body", path: body.Path{head}, bare: true}, nil
	}
	if dotted && head != "time" && (rest == "" || strings.HasSuffix(rest, ".")) {
		return part{}, unknown
	}
	p := part{name: head, arg: rest}
	switch head {
	case "body":
		if !dotted {
			return p, nil
		}
		path, err := body.ParsePath(rest)
		if err != nil || path.HasAny() {
			return p, i18n.Errorf("{%s} names no single member", name)
		}
		p.path = path
	case "header":
		p.arg, p.key, _ = strings.Cut(rest, ".")
		if !isHeaderName(p.arg) {
			return p, unknown
		}
		p.arg = textproto.CanonicalMIMEHeaderKey(p.arg)
	case "query":
		c.aimed = true
	case "method", "path", "uri", "host", "url", "status", "uuid", "signature":
		c.aimed = c.aimed || head == "path" || head == "uri" || head == "host" || head == "url"
		if dotted {
			return p, unknown
		}
	case "form":
		if rest == "" {
			return p, unknown
		}
	case partKind:
		if rest == "" {
			return p, unknown
		}
		if c.parts != nil && !c.parts[rest] {
			return p, i18n.Errorf("{%s}: no split above has cut out part.%s", name, rest)
		}
	case "request":
		inner, err := c.placeholder(rest, false)
		if err != nil || inner.request || !slices.Contains([]string{"body", "header", "query", "method", "path", "uri", "host", "url", "form"}, inner.name) {
			return p, unknown
		}
		inner.request = true
		return inner, nil
	case "time":
		if rest != "unix" && rest != "unix_ms" && !isLayout(rest) {
			return p, i18n.Errorf("{%s} is no time; write {time.unix}, {time.unix_ms}, or Go's reference time as in {time.2006-01-02 15:04:05}", name)
		}
	case "nonce":
		length, format, hasFormat := strings.Cut(rest, ".")
		n, err := strconv.Atoi(length)
		if err != nil || n < 1 || n > maxNonce || hasFormat && format != "hex" {
			return p, i18n.Errorf("{%s} is no nonce; write {nonce.32} or {nonce.32.hex}, up to %d characters", name, maxNonce)
		}
		p.n, p.hex = n, hasFormat
	case "option":
		o, ok := c.options[rest]
		if !ok {
			return p, i18n.Errorf("{%s}: the recipe has no option %s; add: option %s", name, rest, rest)
		}
		return part{literal: strings.Join(c.settings[o.Name], ",")}, nil
	case "text":
		if c.textLines[rest] == nil {
			return p, i18n.Errorf("{%s}: the recipe has no text %s; add: text %[2]s { … }", name, rest)
		}
	case "sign", "verify", "encrypt":
		if rest != "serial" && rest != "serial.decimal" {
			return p, unknown
		}
	case "secret":
	default:
		return p, unknown
	}
	return p, nil
}

// unset reports whether a value names an option that is not set.
func (c *compiler) unset(text string) bool {
	for name := range c.options {
		if strings.Contains(text, "{option."+name+"}") && strings.Join(c.settings[name], "") == "" {
			return true
		}
	}
	return false
}

// known returns a template's text where no placeholder stands in it.
func (t template) known() (string, bool) {
	var text strings.Builder
	for _, p := range t {
		if p.name != "" {
			return "", false
		}
		text.WriteString(p.literal)
	}
	return text.String(), true
}

// has reports whether a placeholder of that name stands in the template.
func (t template) has(name string) bool {
	return slices.ContainsFunc(t, func(p part) bool { return p.name == name })
}

// appendTo appends the template with its placeholders filled in.
func (t template) appendTo(dst []byte, e *env) ([]byte, error) {
	var err error
	for _, p := range t {
		if p.name == "" {
			dst = append(dst, p.literal...)
			continue
		}
		if dst, err = e.append(dst, p); err != nil {
			return nil, err
		}
		if len(dst) > maxMade {
			return nil, errMade
		}
	}
	return dst, nil
}

// text returns the template with its placeholders filled in.
func (t template) text(e *env) (string, error) {
	text, err := t.appendTo(make([]byte, 0, 64), e)
	return string(text), err
}

// textFor is text for a place. In a header that is made of parts, such as a="…",b=…,
// no value ends its part and begins another one.
func (t template) textFor(p place, e *env) (string, error) {
	if p.kind != "header" {
		return t.text(e)
	}
	t = t.spelled(e.p)
	parts := slices.ContainsFunc(t, func(q part) bool { return strings.Contains(q.literal, "=") })
	quotes := 0
	var made []byte
	for _, part := range t {
		if part.name == "" {
			made = append(made, part.literal...)
			quotes += strings.Count(part.literal, `"`)
			continue
		}
		before := len(made)
		separators := ""
		switch {
		case quotes%2 == 1:
			separators = `"\\`
		case parts:
			separators = `",;`
		}
		var err error
		if made, err = e.append(made, part); err != nil {
			return "", err
		}
		if bytes.ContainsAny(made[before:], separators) {
			return "", scheme.Failf(scheme.Invalid, "a value for the header %s holds a quote or a separator, and would be read as another part of it", p.name)
		}
	}
	return string(made), nil
}

// spelled returns the template with those in place of the texts that are no more than one.
func (t template) spelled(p *Program) template {
	var out template
	for _, part := range t {
		if inner := p.text(part); inner != nil && inner.build.template != nil && len(inner.steps) == 0 {
			out = append(out, inner.build.template.spelled(p)...)
		} else {
			out = append(out, part)
		}
	}
	return out
}

// text returns the text that a placeholder stands for, or nil.
func (p *Program) text(of part) *text {
	if of.name != "text" || of.request {
		return nil
	}
	return p.texts[of.arg]
}

// china is China Standard Time. It is fixed, as an image may have no zone data.
var china = time.FixedZone("CST", 8*60*60)

// formatTime writes a time in one of the units or in a Go layout.
func formatTime(t time.Time, layout string, zone *time.Location) string {
	switch layout {
	case "unix":
		return strconv.FormatInt(t.Unix(), 10)
	case "unix_ms":
		return strconv.FormatInt(t.UnixMilli(), 10)
	}
	return t.In(zone).Format(layout)
}

// parseTime reads a time in one of the units or in a Go layout.
func parseTime(text, layout string, zone *time.Location) (time.Time, bool) {
	switch layout {
	case "unix", "unix_ms":
		n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
		if err != nil || n < 0 {
			return time.Time{}, false
		}
		if layout == "unix" {
			return time.Unix(n, 0), true
		}
		return time.UnixMilli(n), true
	}
	t, err := time.ParseInLocation(layout, text, zone)
	return t, err == nil
}

// secretName returns the role of a placeholder {secret} or {secret.name}.
func (p part) secretName() keys.Role {
	if p.arg == "" {
		return keys.SharedSecret
	}
	return keys.SharedSecret + keys.Role("@"+p.arg)
}
