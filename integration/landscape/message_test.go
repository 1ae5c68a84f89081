package main

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/recipe"
)

// draft is a message that is not signed yet: what stands where.
type draft struct {
	kind    message.Kind
	payload map[string]any
	fields  map[string]any // beside a wrapped payload
	header  map[string]string
	query   [][2]string
	method  string
}

// valueOf returns the value of a member in every message, so that what an answer repeats
// is the same as in its request.
func valueOf(path string) string {
	last := path[strings.LastIndexByte(path, '.')+1:]
	switch {
	case strings.EqualFold(last, "amount"), strings.EqualFold(last, "OutSum"):
		return "100.00"
	case strings.HasSuffix(strings.ToLower(last), "nonce"):
		return "nonce-of-16-char"
	case strings.HasSuffix(last, "FingerprintOrder"): // a list of names
		return "secret,amount,order," + last
	case strings.Contains(strings.ToLower(last), "time"), last == "key":
		return "1700000000"
	}
	return "v " + last
}

// message makes the message that a direction reads.
func (x *reads) message(kind message.Kind, now time.Time, certificate []byte) *draft {
	d := &draft{kind: kind, payload: make(map[string]any), fields: make(map[string]any), header: make(map[string]string), method: "POST"}
	value := func(place, path string) string {
		if layout := x.times["{"+place+"}"]; layout != "" {
			return writeTime(now, layout)
		}
		if slices.Contains(x.serials, "{"+place+"}") {
			return serial
		}
		return valueOf(path)
	}
	isSet := func(place string) bool { return kind == message.Request && slices.Contains(x.set, place) }
	if x.extra || len(x.body)+len(x.objects) == 0 {
		put(d.payload, "amount", "100.00")
		put(d.payload, "note", "商品 a+b")
	}
	for _, path := range x.body {
		if slices.ContainsFunc(x.others, func(other string) bool { return strings.HasPrefix(path, other+".") }) {
			continue
		}
		if slices.Contains(x.hidden, path) {
			put(d.payload, path, "as long as two blocks of AES are") // some pad with nothing
		}
		if !isSet("body."+path) && !slices.Contains(x.set, "body."+path) {
			put(d.payload, path, value("body."+path, path))
		}
	}
	for _, path := range x.objects {
		put(d.payload, path+".amount", "100.00")
		if kind == message.Answer {
			put(d.payload, path+".answered", "yes")
		}
	}
	if kind == message.Answer && len(d.payload) > 0 { // not the request sent back
		put(d.payload, "answered", "yes")
	}
	for place := range x.times {
		if path, ok := strings.CutPrefix(strings.Trim(place, "{}"), "body."); ok && !isSet("body."+path) {
			put(d.payload, path, value("body."+path, path))
		}
	}
	for _, l := range x.lines {
		if l.Words[0] == "verify" {
			for _, inner := range l.Block {
				if inner.Words[0] == "certificate" {
					put(d.payload, strings.TrimPrefix(inner.Words[1], "body."), string(certificate))
				}
			}
		}
	}
	slices.Sort(x.headers)
	for _, name := range slices.Compact(x.headers) {
		if isSet("header." + name) {
			continue
		}
		head, part, ok := strings.Cut(name, ".")
		if !ok {
			d.header[name] = value("header."+name, name)
			continue
		}
		if d.header[head] != "" {
			d.header[head] += ","
		}
		d.header[head] += part + "=" + value("header."+name, part)
	}
	for _, name := range x.query {
		if !isSet("query."+name) && !slices.Contains(x.set, "query."+name) && !slices.ContainsFunc(d.query, func(q [2]string) bool { return q[0] == name }) {
			d.query = append(d.query, [2]string{name, value("query."+name, name)})
		}
	}
	for _, path := range x.form {
		if !slices.Contains(x.set, "form."+path) {
			put(d.fields, path, value("form."+path, path))
		}
	}
	return d
}

// put puts a text at a path, unless something stands there.
func put(into map[string]any, path, text string) {
	parsed, err := body.ParsePath(path)
	if err != nil {
		panic(err)
	}
	for i, name := range parsed[:len(parsed)-1] {
		if _, err := strconv.Atoi(parsed[i+1]); err == nil { // an element of a list
			inner := make(map[string]any)
			if list, ok := into[name].([]any); ok {
				inner = list[0].(map[string]any)
			}
			into[name] = []any{inner}
			put(inner, parsed[i+2:].String(), text)
			return
		}
		inner, ok := into[name].(map[string]any)
		if !ok {
			inner = make(map[string]any)
			into[name] = inner
		}
		into = inner
	}
	if last := parsed[len(parsed)-1]; into[last] == nil {
		into[last] = text
	}
}

// write makes the message that travels.
func (d *draft) write(t *testing.T, f message.Format, envelope *message.Message) *message.Message {
	t.Helper()
	m := message.New(d.kind)
	m.Method, m.Scheme, m.Host, m.Path, m.Status = d.method, "https", "api.acme.example", "/pay/order", 200
	if d.kind == message.Answer {
		m.Method, m.Path = "", ""
	}
	for name, value := range d.header {
		m.Header.Set(name, value)
	}
	for _, q := range d.query {
		m.SetParam(q[0], q[1])
	}
	payload := tree(t, d.payload)
	var text []byte
	var err error
	if envelope != nil { // as another recipe has encrypted it
		for name, values := range envelope.Header {
			if name != "Content-Type" && name != mirrored {
				m.Header[name] = values
			}
		}
		payload = envelope.Payload
		if f.Sealed {
			text = envelope.Wire
		}
	}
	if text == nil {
		text, err = f.Write(payload)
		require.NoError(t, err)
	}
	switch {
	case f.Kind == message.Query && f.Wrap == nil:
		m.Query = string(text)
		for _, q := range d.query {
			m.SetParam(q[0], q[1])
		}
		return m
	case f.Wrap != nil:
		text, err = f.WriteWrapped(tree(t, d.fields), text)
		require.NoError(t, err)
	}
	m.Wire = text
	return m
}

func tree(t *testing.T, members map[string]any) *body.Tree {
	t.Helper()
	text, err := json.Marshal(members)
	require.NoError(t, err)
	o, err := body.Parse(text)
	require.NoError(t, err)
	return body.NewTree(o)
}

// mirrored is the header of the signature that a mirror makes.
const mirrored = "X-Mirror"

// mirror returns a recipe whose requests are encrypted as the answers or notifications of
// another one are: what that one decrypts, the mirror encrypts.
func mirror(t *testing.T, name string, lines []recipe.Line) *recipe.Program {
	t.Helper()
	sign := recipe.Line{Words: []string{"sign", "header." + mirrored, "sha256", "hex", "{body}{secret}"}}
	var request []recipe.Line
	encrypts := false
	for _, l := range slices.Backward(lines) {
		words := slices.DeleteFunc(slices.Clone(l.Words), func(w string) bool { return w == "before" || w == "verify" })
		switch l.Words[0] {
		case "decrypt", "open":
			words[0] = map[string]string{"decrypt": "encrypt", "open": "seal"}[l.Words[0]]
			for i, w := range words {
				words[i] = strings.Replace(w, "body.*_", "body.pay_", 1) // as the pattern is filled in where it is read
			}
			block := slices.DeleteFunc(slices.Clone(l.Block), func(inner recipe.Line) bool { return inner.Words[0] == "into" || inner.Words[0] == "plain" })
			request = append(request, recipe.Line{Words: words, Block: block})
			encrypts = true
		case "receive":
			request = append(request, recipe.Line{Words: append([]string{"send"}, words[1:]...)})
		}
	}
	if !encrypts {
		return nil
	}
	p, err := recipe.Compile(name, recipe.Recipe{Lines: []recipe.Line{{Words: []string{"request"}, Block: append(request, sign)}}}, nil)
	require.NoError(t, err)
	return p
}
