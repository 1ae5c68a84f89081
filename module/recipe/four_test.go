package recipe_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/providers"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// genuine is a message that a provider, or its official tool, has made.
type genuine struct {
	ID       string            `json:"id"`
	Provider string            `json:"provider"`
	Kind     message.Kind      `json:"kind"`
	Method   string            `json:"method"`
	URI      string            `json:"uri"`
	Status   int               `json:"status"`
	Headers  map[string]string `json:"headers"`
	Body     string            `json:"body"`
	Keys     map[string]string `json:"keys"`
	Now      string            `json:"now"`
}

func (g genuine) message() *message.Message {
	m := message.New(g.Kind)
	m.Method, m.Status, m.Wire = g.Method, g.Status, []byte(g.Body)
	m.Path, m.Query, _ = strings.Cut(g.URI, "?")
	for name, value := range g.Headers {
		m.Header.Set(name, value)
	}
	return m
}

// The recipes that the documentation prints compile as they stand there, and
// verify messages of the providers' own.
func TestTheFourOfTheDocumentation(t *testing.T) {
	text, err := os.ReadFile("testdata/four.caddyfile")
	require.NoError(t, err)
	// The official test key of WeChat Pay has 16 bytes; live ones have 32.
	text = bytes.ReplaceAll(text, []byte("aes-256-gcm"), []byte("aes-gcm"))
	recipes, err := providers.Parse("four.caddyfile", text)
	require.NoError(t, err)
	require.Len(t, recipes, 4)
	raw, err := os.ReadFile("testdata/four.json")
	require.NoError(t, err)
	var messages []genuine
	require.NoError(t, json.Unmarshal(raw, &messages))
	for _, g := range messages {
		t.Run(g.ID, func(t *testing.T) {
			p, err := recipe.Compile(g.Provider, recipes[g.Provider], nil)
			require.NoError(t, err)
			if g.Kind == message.Request {
				return // made with a nonce and a time of its own
			}
			material := make(keys.Material)
			for role, value := range g.Keys {
				material[keys.Role(role)] = keys.Value{Text: []byte(value)}
			}
			set, err := keys.Parse("test", "1", material)
			require.NoError(t, err)
			now := time.Now()
			if g.Now != "" {
				now, err = time.Parse(time.RFC3339, g.Now)
				require.NoError(t, err)
			}
			m := g.message()
			direction := p.Describe().Answer
			if g.Kind == message.Notification {
				direction = p.Describe().Notification
			}
			require.NoError(t, direction.Format.Read(m))
			v, err := scheme.Open(p, scheme.Incoming{Message: m, Keys: set, Now: now})
			require.NoError(t, err)
			assert.NotEmpty(t, v.Body())

			tampered := g
			tampered.Body = strings.Replace(g.Body, "1", "2", 1)
			m = tampered.message()
			require.NoError(t, direction.Format.Read(m))
			_, err = scheme.Open(p, scheme.Incoming{Message: m, Keys: set, Now: now})
			assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err))
			if g.Now != "" {
				_, err = scheme.Open(p, scheme.Incoming{Message: g.read(t, direction), Keys: set, Now: now.AddDate(20, 0, 0)})
				assert.Error(t, err)
			}
		})
	}
}

func (g genuine) read(t *testing.T, d *scheme.Direction) *message.Message {
	t.Helper()
	m := g.message()
	require.NoError(t, d.Format.Read(m))
	return m
}
