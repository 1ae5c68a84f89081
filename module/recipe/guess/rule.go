package guess

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/recipe"
)

// Rule is a candidate: a way in which messages of a kind may be signed.
type Rule struct {
	Kind      message.Kind
	Format    string     // message.JSON, Form or XML
	Place     string     // where the signature stands, as body.sign
	Split     []string   // a header and a separator, if the signature is what stands behind the last one
	Algorithm string     // as rsa-sha256
	Encoding  string     // as base64
	Secret    string     // how the secret of a MAC is written: hex, base64, or "" as it is
	Text      [][]string // the builder or the template, and the steps behind it
	Inner     [][]string // likewise the text that {text.inner} stands for in Text, or nil
	Key       string     // a placeholder of the key's serial, or ""

	message *message.Message
}

func line(words ...string) recipe.Line { return recipe.Line{Words: words} }

// probe returns the recipe that verifies messages under the rule. A request is read
// like a notification, which has a method and a path as well.
func (r Rule) probe() recipe.Recipe {
	block := line("notification")
	if r.Kind == message.Answer {
		block = line("answer")
	}
	if r.Format != message.JSON {
		block.Block = append(block.Block, line(append([]string{"receive"}, strings.Fields(r.Format)...)...))
	}
	if r.Split != nil {
		block.Block = append(block.Block, line("split", r.Split[0], r.Split[1], "last", "part.before", "part.signature"))
	}
	verify := line("verify", r.source(), r.Algorithm, r.Encoding, "signed")
	if r.Key != "" {
		verify.Block = append(verify.Block, line("key", r.Key))
	}
	if r.Secret != "" {
		verify.Block = append(verify.Block, line("secret", r.Secret))
	}
	block.Block = append(block.Block, verify)
	text := line("text", "signed")
	for _, words := range r.Text {
		text.Block = append(text.Block, line(words...))
	}
	lines := []recipe.Line{text, block}
	if r.Inner != nil {
		inner := recipe.Line{Words: []string{"text", "inner"}, At: "inner"} // told by its place from the text that names it
		for _, words := range r.Inner {
			inner.Block = append(inner.Block, line(words...))
		}
		lines = append(lines, inner)
	}
	return recipe.Recipe{Lines: lines}
}

// String returns the recipe block, as a Caddyfile has it.
func (r Rule) String() string {
	var out strings.Builder
	out.WriteString("recipe guessed {\n\tproof guess \"found from captured messages\"\n")
	r.writeText(&out, "inner", r.Inner)
	r.writeText(&out, "signed", r.Text)
	out.WriteString("\t" + r.block() + " {\n")
	if r.Kind == message.Request {
		r.writeSign(&out)
	} else {
		r.writeVerify(&out)
	}
	out.WriteString("\t}\n}\n")
	return out.String()
}

func (r Rule) writeText(out *strings.Builder, name string, steps [][]string) {
	if steps == nil {
		return
	}
	out.WriteString("\ttext " + name + " {\n")
	sent := r.sent()
	for _, words := range steps {
		out.WriteString("\t\t" + sent.Replace(join(words)) + "\n")
	}
	out.WriteString("\t}\n")
}

// source is where verify finds the signature.
func (r Rule) source() string {
	if r.Split != nil {
		return "part.signature"
	}
	return r.Place
}

func (r Rule) block() string { return string(r.Kind) }

func (r Rule) writeVerify(out *strings.Builder) {
	if r.Format != message.JSON {
		out.WriteString("\t\treceive " + r.Format + "\n")
	}
	if r.Split != nil {
		out.WriteString("\t\t" + join([]string{"split", r.Split[0], r.Split[1], "last", "part.before", "part.signature"}) + "\n")
	}
	out.WriteString("\t\t" + join([]string{"verify", r.source(), r.Algorithm, r.Encoding, "signed"}))
	if r.Key != "" {
		out.WriteString(" {\n\t\t\tkey " + r.Key + "\n\t\t}")
	}
	r.writeSecret(out)
	out.WriteString("\n")
}

func (r Rule) writeSign(out *strings.Builder) {
	place, as := r.Place, ""
	if header, part, ok := strings.Cut(strings.TrimPrefix(r.Place, "header."), "."); ok && strings.HasPrefix(r.Place, "header.") {
		place, as = "header."+header, r.template(header, part)
	}
	if r.Split != nil {
		value := r.message.Header.Get(strings.TrimPrefix(r.Split[0], "header."))
		as = value[:strings.LastIndex(value, r.Split[1])+1] + "{signature}"
	}
	for _, target := range r.targets() {
		name := target[1]
		was := r.message.Header.Get(name)
		if target[0] == "query" {
			was, _, _ = r.message.Param(name)
		}
		if value := placeholder(name, was); value != "" {
			out.WriteString("\t\tdefault " + target[0] + "." + name + " " + join([]string{value}) + "\n")
		}
	}
	out.WriteString("\t\t" + join([]string{"sign", place, r.Algorithm, r.Encoding, "signed"}))
	if as != "" {
		out.WriteString(" as `" + as + "`")
	}
	r.writeSecret(out)
	out.WriteString("\n")
	if r.Format != message.JSON {
		out.WriteString("\t\tsend " + strings.Replace(r.Format, " raw", "", 1) + "\n")
	}
}

func (r Rule) writeSecret(out *strings.Builder) {
	if r.Secret != "" {
		out.WriteString(" {\n\t\t\tsecret " + r.Secret + "\n\t\t}")
	}
}

var wholePlace = regexp.MustCompile(`\{(header|query)\.([A-Za-z0-9_-]+)\}`)

// targets returns the headers and parameters that the text names as a whole.
func (r Rule) targets() [][]string {
	var all [][]string
	for _, words := range r.Text {
		for _, m := range wholePlace.FindAllStringSubmatch(strings.Join(words, " "), -1) {
			all = append(all, m[1:])
		}
	}
	return all
}

// sent replaces the parts of a header that a request makes by what it makes them
// of.
func (r Rule) sent() *strings.Replacer {
	var pairs []string
	header, part, ok := strings.Cut(strings.TrimPrefix(r.Place, "header."), ".")
	if r.Kind == message.Request && ok {
		value := r.message.Header.Get(header)
		for _, name := range partNames(value) {
			if made := placeholder(name, first(message.Parts(value, name))); name != part && made != "" {
				pairs = append(pairs, "{header."+header+"."+name+"}", made)
			}
		}
	}
	return strings.NewReplacer(pairs...)
}

// template returns the header of a request with placeholders in it.
func (r Rule) template(header, part string) string {
	value := r.message.Header.Get(header)
	for _, name := range partNames(value) {
		was := first(message.Parts(value, name))
		made := placeholder(name, was)
		if name == part {
			made = "{signature}"
		}
		if made != "" && was != "" {
			value = strings.Replace(value, was, made, 1)
		}
	}
	return value
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

var (
	unixTime = regexp.MustCompile(`^1[0-9]{9}$`)
	unixMS   = regexp.MustCompile(`^1[0-9]{12}$`)
	wallTime = regexp.MustCompile(`^20[0-9]{2}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}$`)
	hexNonce = regexp.MustCompile(`^[0-9a-f]{8,64}$`)
	nonce    = regexp.MustCompile(`^[0-9A-Za-z]{8,64}$`)

	namesTime  = regexp.MustCompile(`(?i)time|stamp|date|^t$`)
	namesNonce = regexp.MustCompile(`(?i)nonce|rand|noncestr`)
)

// placeholder returns what makes a value like the one that was seen under a name, or
// "".
func placeholder(name, value string) string {
	switch isTime, isNonce := namesTime.MatchString(name), namesNonce.MatchString(name); {
	case isTime && unixTime.MatchString(value):
		return "{time.unix}"
	case isTime && unixMS.MatchString(value):
		return "{time.unix_ms}"
	case isTime && wallTime.MatchString(value):
		return "{time.2006-01-02 15:04:05}"
	case isNonce && hexNonce.MatchString(value):
		return "{nonce." + strconv.Itoa(len(value)) + ".hex}"
	case isNonce && nonce.MatchString(value):
		return "{nonce." + strconv.Itoa(len(value)) + "}"
	}
	return ""
}

// join returns a line's words, quoted where a Caddyfile needs it or a reader is helped.
func join(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = w
		if w == "" || strings.ContainsAny(w, " \t\"`#\\&|{}") {
			quoted[i] = `"` + strings.ReplaceAll(w, `"`, `\"`) + `"`
		}
	}
	return strings.Join(quoted, " ")
}

// Summary returns the rule on one line.
func (r Rule) Summary() string {
	place := []string{r.Place, r.Algorithm, r.Encoding}
	if r.Split != nil {
		place[0] += " behind " + strconv.Quote(r.Split[1])
	}
	if r.Secret != "" {
		place = append(place, "secret", r.Secret)
	}
	summary := strings.Join(place, " ") + ": " + steps(r.Text)
	if r.Inner != nil {
		summary += "; inner: " + steps(r.Inner)
	}
	return summary
}

func steps(text [][]string) string {
	all := make([]string, len(text))
	for i, words := range text {
		all[i] = join(words)
	}
	return strings.Join(all, "; ")
}
