package recipe

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// headerParts has its signature, nonce and time in one header.
const headerParts = `notification {
split header.Authorization : "hmac acme" part.sign part.nonce part.time
verify part.sign hmac-sha256 hex "{part.nonce}{part.time}{body}" {
fresh {part.time} unix 5m
}
}`

func TestPartsOfAHeader(t *testing.T) {
	p := mustCompile(t, headerParts)
	set := shared("s3cret")
	peer, err := p.Peer()
	require.NoError(t, err)
	o, err := body.Parse([]byte(`{"amount":"1.00"}`))
	require.NoError(t, err)
	to := message.New(message.Notification)
	to.Method, to.Path = "POST", "/notify"
	m, err := peer.Notification(to, o, Sending{Keys: set, Now: testTime})
	require.NoError(t, err)
	header := m.Header.Get("Authorization")
	require.Regexp(t, `^hmac acme:[0-9a-f]{64}:\w+:\d+$`, header)

	open := func(header string) error {
		came := *m
		came.Header = m.Header.Clone()
		came.Header.Set("Authorization", header)
		if header == "" {
			came.Header.Del("Authorization")
		}
		_, err := scheme.Open(p, scheme.Incoming{Message: &came, Keys: set, Now: testTime})
		return err
	}
	require.NoError(t, open(header))
	pieces := strings.Split(header, ":")
	for name, test := range map[string]struct {
		header string
		want   scheme.Reason
	}{
		"none":              {"", scheme.Unsigned},
		"no signature":      {strings.Join([]string{pieces[0], "", pieces[2], pieces[3]}, ":"), scheme.Unsigned},
		"another nonce":     {strings.Replace(header, pieces[2], "0"+pieces[2], 1), scheme.BadSignature},
		"a part less":       {strings.Join(pieces[:3], ":"), scheme.Invalid},
		"a part more":       {header + ":", scheme.Invalid},
		"another key":       {strings.Replace(header, "acme", "acne", 1), scheme.Invalid},
		"moved separators":  {strings.Join([]string{pieces[0], pieces[1], pieces[2] + pieces[3][:1], pieces[3][1:]}, ":"), scheme.BadSignature},
		"no separator":      {strings.Join(pieces, " "), scheme.Invalid},
		"signature as time": {strings.Join([]string{pieces[0], pieces[3], pieces[2], pieces[1]}, ":"), scheme.BadSignature},
	} {
		if name == "moved separators" { // the text is the same one; the time is not
			assert.Error(t, open(test.header), name)
			continue
		}
		assert.Equal(t, test.want, scheme.ReasonOf(open(test.header)), name)
	}
}

// What split cuts off is not revealed: the payload is what the signature covers, and
// the bytes of it that it covers.
func TestPartsOfTheBody(t *testing.T) {
	p := mustCompile(t, `notification {
unwrap form response
split body $ AES body
decrypt aes-256-cbc base64 body before verify {
iv zero
}
split body $ last body part.sign
verify part.sign hmac-sha256 hex "{body}"
}`)
	set := shared("0123456789abcdef0123456789abcdef")
	peer, err := p.Peer()
	require.NoError(t, err)
	o, err := body.Parse([]byte(`{"price":"5$","name":"易宝","n":12.50}`))
	require.NoError(t, err)
	to := message.New(message.Notification)
	to.Method, to.Path = "POST", "/notify"
	m, err := peer.Notification(to, o, Sending{Keys: set, Now: testTime})
	require.NoError(t, err)
	wire := string(m.Wire)
	require.True(t, strings.HasPrefix(wire, "response=AES%24"), wire)

	open := func(wire string) (*scheme.Verified, error) {
		came := message.New(message.Notification)
		came.Method, came.Path, came.Wire = "POST", "/notify", []byte(wire)
		if err := p.Describe().Notification.Format.Read(came); err != nil {
			return nil, err
		}
		return scheme.Open(p, scheme.Incoming{Message: came, Keys: set, Now: testTime})
	}
	v, err := open(wire + "&evil=1")
	require.NoError(t, err)
	assert.JSONEq(t, `{"price":"5$","name":"易宝","n":12.50}`, string(v.Body()))
	assert.NotContains(t, string(v.Body()), "evil")
	assert.Contains(t, string(v.Body()), "12.50")
	for name, changed := range map[string]string{
		"another algorithm": strings.Replace(wire, "AES", "DES", 1),
		"a part more":       wire + "%24x",
		"one part":          strings.Replace(wire, "AES%24", "", 1),
		"cut off":           wire[:len(wire)-12],
		"plain":             "response=AES%24" + `{"a":1}`,
	} {
		v, err := open(changed)
		assert.Error(t, err, name)
		assert.Nil(t, v, name)
	}
}

// Only what a signature covers becomes the body, and only where it is still to be
// verified.
func TestSplitIsRefused(t *testing.T) {
	for name, test := range map[string]struct{ lines, want string }{
		"below verify":            {"verify header.S hmac-sha256 hex `{body}`\nsplit body $ body part.x", "stands above verify"},
		"a body out of a header":  {"split header.X : body part.sign\nverify part.sign hmac-sha256 hex `{body}`", "only a part of the body"},
		"no body of the body":     {"split body : part.a part.sign\nverify part.sign hmac-sha256 hex `{body}`", "must become the body"},
		"two bodies":              {"split body : body body\nverify header.S hmac-sha256 hex `{body}`", "one part that becomes"},
		"only parts are signed":   {"split header.X : part.a part.sign\nverify part.sign hmac-sha256 hex `{part.a}`", "covers neither"},
		"an unknown part":         {"split header.X : part.a part.sign\nverify part.sign hmac-sha256 hex `{part.b}{body}`", "no split above"},
		"a part of nothing":       {"verify part.sign hmac-sha256 hex `{body}`", "no split above"},
		"a name twice":            {"split header.X : part.a part.a\nverify header.S hmac-sha256 hex `{body}`", "a name of its own"},
		"one that may be missing": {"split header.X : part.a? part.b\nverify header.S hmac-sha256 hex `{body}`", "only the last part"},
		"last with three":         {"split body : last body part.a part.b\nverify part.a hmac-sha256 hex `{body}`", "in two"},
		"a separator in a text":   {"split header.X : a:b part.b\nverify part.b hmac-sha256 hex `{body}`", "holds the separator"},
		"an unsigned time":        {"split header.X : part.a part.sign\nverify part.sign hmac-sha256 hex `{body}` {\nfresh {part.a} unix 5m\n}", "that the signature covers"},
	} {
		_, err := compiled("notification {\n"+test.lines+"\n}", nil)
		assert.ErrorContains(t, err, test.want, name)
	}
	_, err := compiled("request {\nset part.x 1\nsign body.sign hmac-sha256 hex `{body}`\n}", nil)
	require.ErrorContains(t, err, "is no target")
	_, err = compiled("request {\nsign body.sign hmac-sha256 hex `{part.x}{body}`\n}", nil)
	require.ErrorContains(t, err, "no split above")
}

// A signature may be over one of two texts, of which the second covers all that the
// first does.
func TestOr(t *testing.T) {
	p := mustCompile(t, `text members {
sorted body except sign sign_type
}
text all {
sorted body except sign
}
notification {
verify body.sign hmac-sha256 hex members or all
}`)
	set := shared("s3cret")
	open := func(text string) (*scheme.Verified, error) {
		return scheme.Open(p, scheme.Incoming{Message: p.read(t, message.Notification, text), Keys: set, Now: testTime})
	}
	// echo -n 'amount=1.00[&sign_type=RSA2]' | openssl dgst -sha256 -hmac s3cret
	const less, more = "42289a320dd160cf5d3003373dc44d0b59a780e0641e658802c88dd89d1dc4f7", "89115b36b22787d85d0f34d177717f4e15e9eb4f3e88dc9c94e251d21fbd6ffe"
	for name, sum := range map[string]string{"without": less, "with": more} {
		v, err := open(`{"amount":"1.00","sign_type":"RSA2","sign":"` + sum + `"}`)
		require.NoError(t, err, name)
		want := map[string]string{"without": "amount=1.00", "with": "amount=1.00&sign_type=RSA2"}[name]
		assert.Equal(t, want, string(v.Canonical()), name)
		_, err = open(`{"amount":"9.00","sign_type":"RSA2","sign":"` + sum + `"}`)
		assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err), name)
	}
	_, err := open(`{"amount":"1.00","sign_type":"RSA","sign":"` + more + `"}`)
	assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err))
	assert.False(t, p.Describe().Notification.Covers(body.Path{"sign_type"}), "only what both cover is covered")

	// Or with empty members, or with a line more.
	for _, texts := range []string{
		"text members {\nsorted body except sign\nmd5 hex\n}\ntext all {\nsorted body except sign empty keep\nmd5 hex\n}",
		"text members \"{header.A}\\n{body}\"\ntext all \"{header.A}\\n{header.B}\\n{body}\"",
		"text members \"a{body.amount}\"\ntext all \"a{body.amount}\\nb{body.note}\"",
	} {
		_, err := compiled(texts+"\nnotification {\nverify header.S hmac-sha256 hex members or all\n}\n", nil)
		assert.NoError(t, err, texts)
		_, err = compiled(strings.NewReplacer("text members", "text all", "text all", "text members").Replace(texts)+"\nnotification {\nverify header.S hmac-sha256 hex members or all\n}\n", nil)
		assert.ErrorContains(t, err, "or takes", texts)
	}

	const cases = "text small {\n`{query.id}`\n%s\n}\ntext asis `id:{query.id};{body}`\ntext other `id:{text.small};%s`\nnotification {\nverify header.S hmac-sha256 hex asis or other\n}\n"
	for _, change := range []string{"lower", "upper"} {
		_, err = compiled(fmt.Sprintf(cases, change, "{body}"), nil)
		assert.NoError(t, err, change)
	}
	for change, rest := range map[string]string{"lower": "", "md5 hex": "{body}", "append x": "{body}"} {
		_, err = compiled(fmt.Sprintf(cases, change, rest), nil)
		assert.ErrorContains(t, err, "or takes", change)
	}

	const head = "text members {\nsorted body except sign sign_type\n}\ntext less {\nsorted body except sign sign_type amount\n}\ntext other {\nsorted body except sign pair :\n}\n"
	for _, text := range []string{"less", "other", "`{body}`", "nothing", ""} {
		_, err := compiled(head+"notification {\nverify body.sign hmac-sha256 hex members or "+text+"\n}\n", nil)
		assert.ErrorContains(t, err, "or takes", text)
	}
}
