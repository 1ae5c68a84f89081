package guess

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/message"
)

// place is where a signature may stand.
type place struct {
	name     string // as a recipe has it: body.sign, header.X-Signature
	encoding string
	size     int      // of the signature, in bytes
	values   [][]byte // what stands there in the first message: one signature, or several
	member   string   // the name of a member of the body, or ""
	parts    []string // the other parts of the header that it stands in
	alone    bool     // the header has no other part, as in sha256=…
	split    []string // a header and a separator, the last of which the signature stands behind
}

func (p place) describe(algorithms []string) string {
	return i18n.Sprintf("%s, %d bytes in %s: %s", p.name, p.size, p.encoding, strings.Join(algorithms, ", "))
}

// signatureName are names that signatures have.
var signatureName = regexp.MustCompile(`(?i)sign|sig$|hmac|mac(value)?$|hash|digest|checksum|token|authorization|^v1$`)

// labelName are names of members that stand beside a signature and are often not
// signed.
var labelName = regexp.MustCompile(`(?i)^(sign|signature)_?-?(type|method|alg|algorithm)$`)

// findPlaces returns the places whose value looks like a signature in every message:
// those with the name of a signature, or, if there are none, the others.
func findPlaces(messages []*message.Message) []place {
	var found []place
	for i, m := range messages {
		here := placesOf(m)
		if i == 0 {
			found = here
			continue
		}
		found = slices.DeleteFunc(found, func(p place) bool {
			return !slices.ContainsFunc(here, func(q place) bool { return q.name == p.name })
		})
	}
	named := slices.DeleteFunc(slices.Clone(found), func(p place) bool { return !p.isNamed() })
	if len(named) > 0 {
		found = named
	}
	slices.SortStableFunc(found, func(a, b place) int { return cmp.Compare(rank(a), rank(b)) })
	return found
}

// isNamed reports whether the place has the name of a signature.
func (p place) isNamed() bool {
	return signatureName.MatchString(p.last()) || p.alone && signatureName.MatchString(p.name)
}

func (p place) last() string { return p.name[strings.LastIndexByte(p.name, '.')+1:] }

func rank(p place) int {
	if strings.Contains(strings.ToLower(p.last()), "sig") {
		return 0
	}
	return 1
}

func placesOf(m *message.Message) []place {
	var found []place
	if m.Payload != nil {
		for _, member := range m.Payload.Members() {
			name := string(member.Name())
			found = append(found, placesIn("body."+dotted(name), name, string(member.Text()), member.Kind())...)
			if inner := m.Payload.At(body.Path{name}); inner != nil && !inner.IsList() {
				for _, nested := range inner.Members() {
					found = append(found, placesIn("body."+dotted(name)+"."+dotted(string(nested.Name())), "", string(nested.Text()), nested.Kind())...)
				}
			}
		}
	}
	for name, values := range m.Header {
		if len(values) != 1 || standard(name) {
			continue
		}
		if p, ok := looksSigned("header."+name, values[0]); ok {
			found = append(found, p)
		} else {
			found = append(found, behindLast(name, values[0])...)
		}
		keys := partNames(values[0])
		for _, key := range keys {
			var all [][]byte
			for _, value := range slices.Backward(message.Parts(values[0], key)) {
				if p, ok := looksSigned("header."+name+"."+key, value); ok {
					p.alone = len(keys) == 1
					p.parts = slices.DeleteFunc(slices.Clone(keys), func(k string) bool { return k == key })
					all = append(all, p.values...)
					p.values = all
					found = slices.DeleteFunc(found, func(q place) bool { return q.name == p.name })
					found = append(found, p)
				}
			}
		}
	}
	for _, param := range paramsBeside(m) {
		if p, ok := looksSigned("query."+param.Name, param.Value); ok && isToken.MatchString(param.Name) {
			found = append(found, p)
		}
	}
	slices.SortFunc(found, func(a, b place) int { return strings.Compare(a.name, b.name) })
	return found
}

// behindLast returns the signature behind the last blank or colon of a header, as in
// "Authorization: SN1 5F2B…".
func behindLast(name, value string) []place {
	for _, separator := range []string{" ", ":"} {
		if i := strings.LastIndex(value, separator); i > 0 {
			if p, ok := looksSigned("header."+name, value[i+1:]); ok {
				p.split = []string{"header." + name, separator}
				return []place{p}
			}
		}
	}
	return nil
}

// paramsBeside returns the parameters of the query of a message whose payload is not the
// query itself.
func paramsBeside(m *message.Message) []message.Param {
	if len(m.Wire) == 0 {
		return nil
	}
	params, err := m.Params()
	if err != nil {
		return nil
	}
	return params
}

func placesIn(name, member, value string, kind body.Kind) []place {
	if kind != body.String {
		return nil
	}
	p, ok := looksSigned(name, value)
	p.member = member
	if !ok {
		return nil
	}
	return []place{p}
}

// dotted returns a name as a path has it.
func dotted(name string) string { return strings.ReplaceAll(name, ".", `\.`) }

var partPattern = regexp.MustCompile(`(?:^|[,; ])([A-Za-z][A-Za-z0-9_-]*)=`)

// partNames returns the keys of a header that reads k=v,k="v".
func partNames(value string) []string {
	var names []string
	for _, m := range partPattern.FindAllStringSubmatch(value, 20) {
		if !slices.Contains(names, m[1]) {
			names = append(names, m[1])
		}
	}
	return names
}

// standard are headers that everybody sends.
func standard(name string) bool {
	return slices.Contains([]string{"Content-Type", "Content-Length", "Content-Encoding", "Content-Language", "Host", "User-Agent", "Accept", "Accept-Encoding", "Accept-Language", "Connection", "Date", "Server", "Via", "Cache-Control", "Etag", "Vary", "Transfer-Encoding", "Keep-Alive", "Pragma", "Expires", "Set-Cookie", "Cookie", "X-Forwarded-For", "X-Real-Ip", "Strict-Transport-Security"}, name)
}

// looksSigned reads a text as hexadecimal or Base64.
func looksSigned(name, value string) (place, bool) {
	if len(value) < 22 || len(value) > 4096 {
		return place{}, false
	}
	if raw, err := hex.DecodeString(value); err == nil {
		encoding := "hex"
		if value == strings.ToUpper(value) {
			encoding = "hex-upper"
		}
		return place{name: name, encoding: encoding, size: len(raw), values: [][]byte{raw}}, len(raw) >= 16
	}
	if raw, err := base64.StdEncoding.DecodeString(value); err == nil {
		return place{name: name, encoding: "base64", size: len(raw), values: [][]byte{raw}}, len(raw) >= 16
	}
	if raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(value, "=")); err == nil && strings.ContainsAny(value, "-_") {
		return place{name: name, encoding: "base64url", size: len(raw), values: [][]byte{raw}}, len(raw) >= 16
	}
	return place{}, false
}
