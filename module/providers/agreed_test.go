package providers_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/providers/providertest"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// agreed is a line of a file agreed.jsonl: a message, and what the Go package that the
// recipe has replaced made of it. Its first line has the key set, and the members with
// random values, of which the lengths are compared.
type agreed struct {
	Keys   string
	Random []string

	Options   []providertest.Setting
	Kind      string // request, answer or notification
	Request   string // of the application; none where the request of an answer is not known
	Message   string // of the provider
	Verdict   string
	Canonical string
	Signed    string
	Unsigned  bool
	Body      string // what leaves, or what the application gets
}

var verdicts = map[scheme.Reason]string{
	0: "good", scheme.Invalid: "invalid", scheme.Unsigned: "unsigned", scheme.BadSignature: "signature",
	scheme.Ambiguous: "ambiguous", scheme.Mismatch: "mismatch",
}

// A recipe makes of messages with odd values the bytes and the verdicts that the Go
// package made which it has replaced.
func TestAgreed(t *testing.T) {
	files, err := filepath.Glob("*/agreed.jsonl")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Dir(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			var head agreed
			lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
			require.NoError(t, json.Unmarshal(lines[0], &head))
			for i, line := range lines[1:] {
				var a agreed
				require.NoError(t, json.Unmarshal(line, &a))
				a.Keys, a.Random = head.Keys, head.Random
				a.compare(t, filepath.Dir(file), fmt.Sprint("line ", i+2))
			}
		})
	}
}

func (a agreed) compare(t *testing.T, name, line string) {
	s := providertest.Configure(t, name, a.Options...)
	in := scheme.Incoming{Keys: providertest.Merchant(t, a.Keys), Now: time.UnixMilli(1700000000123)}
	if a.Request != "" {
		o, err := body.Parse([]byte(a.Request))
		require.NoError(t, err, line)
		m := message.New(message.Request)
		m.SetPayload(o)
		in.Request, err = scheme.Seal(s, scheme.Request{Message: m, Keys: in.Keys, Now: in.Now})
		if a.Kind == "request" {
			assert.Equal(t, a.Verdict, verdicts[scheme.ReasonOf(err)], "%s: %v", line, err)
			if err == nil {
				assert.Equal(t, a.Body, a.masked(in.Request.Message.Wire), line)
				a.sameText(t, in.Request.Canonical(), line)
			}
			return
		}
		require.NoError(t, err, line)
	}
	in.Message = message.New(map[string]message.Kind{"answer": message.Answer, "notification": message.Notification}[a.Kind])
	in.Message.Wire, in.Message.Method = []byte(a.Message), "POST"
	direction := s.Describe().Answer
	if a.Kind == "notification" {
		direction = s.Describe().Notification
	}
	if err := direction.Format.Read(in.Message); err != nil {
		assert.Equal(t, a.Verdict, "invalid", "%s: %v", line, err)
		return
	}
	v, err := scheme.Open(s, in)
	assert.Equal(t, a.Verdict, verdicts[scheme.ReasonOf(err)], "%s: %v", line, err)
	if err == nil {
		assert.Equal(t, a.Body, string(v.Body()), line)
		assert.Equal(t, a.Unsigned, v.IsUnsigned(), line)
		a.sameText(t, v.Canonical(), line)
		if a.Signed != "" {
			assert.Equal(t, a.Signed, v.Part(), line)
		}
	}
}

func (a agreed) sameText(t *testing.T, canonical []byte, line string) {
	if a.Canonical != "" {
		assert.Equal(t, a.Canonical, string(canonical), line)
	}
}

// masked returns a text with the lengths of random values in their place.
func (a agreed) masked(text []byte) string {
	if len(a.Random) == 0 {
		return string(text)
	}
	random := regexp.MustCompile(`"(` + strings.Join(a.Random, "|") + `)":\s*"([A-Za-z0-9+/=]*)"`)
	return random.ReplaceAllStringFunc(string(text), func(m string) string {
		parts := random.FindStringSubmatch(m)
		return fmt.Sprintf("%s %d", parts[1], len(parts[2]))
	})
}
