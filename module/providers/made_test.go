package providers_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/providers"
	"github.com/countersign/caddy-countersign/module/providers/providertest"
	"github.com/countersign/caddy-countersign/module/recipe"
)

var making = flag.Bool("make", false, "make messages for the providers' folders that have none")

// made is the proof of a message that its own recipe has made.
const made = "made"

// TestMakeMessages writes, with -make, a request, an answer and a notification into each
// folder that has no message, and the keys that open them. They prove nothing of the
// provider's rule; they hold what the recipe does, so that a change of it shows.
func TestMakeMessages(t *testing.T) {
	if !*making {
		t.Skip("it writes messages")
	}
	for _, name := range providers.Names() {
		if found, _ := filepath.Glob(filepath.Join(name, "messages", "*.http")); len(found) == 0 {
			t.Run(name, func(t *testing.T) { makeMessages(t, name) })
		}
	}
}

// needed are options without which a request is not written as it should be.
var needed = map[string]recipe.Settings{"shouqianba": {"sn": {"V1"}}}

func makeMessages(t *testing.T, name string) {
	r, _ := providers.Find(name)
	p, err := recipe.Compile(name, r, needed[name])
	require.NoError(t, err)
	e := &exchange{program: p, now: time.Now().Truncate(time.Second)}
	e.peer, err = p.Peer()
	require.NoError(t, err)
	sides := providertest.NewSides(t, p)
	e.merchant, e.provider = sides.Sets(t)
	var received *recipe.Received
	if p.Describe().Request != nil {
		sealed := e.seal(t)
		e.write(t, "request", sealed.Message, sides.Provider)
		received, err = e.peer.Receive(sealed.Message.Fresh(), e.provider, e.now)
		require.NoError(t, err)
		if p.Describe().Answer != nil {
			m, err := e.peer.Answer(received, e.peer.Default(message.Answer, received, nil), recipe.Sending{Keys: e.provider, Now: e.now})
			require.NoError(t, err)
			if _, err := e.open(m.Fresh(), nil); err == nil { // others are opened with their request only
				e.write(t, "answer", m, sides.Merchant)
			}
		}
	}
	if p.Describe().Notification != nil {
		to := message.New(message.Notification)
		to.Method, to.Scheme, to.Host, to.Path = "POST", "https", "shop.example", "/notify"
		m, err := e.peer.Notification(to, e.peer.Default(message.Notification, received, nil), recipe.Sending{Keys: e.provider, Now: e.now})
		require.NoError(t, err)
		e.write(t, "notification", m, sides.Merchant)
	}
}

// write writes a message, what there is to know of it, and the keys that open it.
func (e *exchange) write(t *testing.T, kind string, m *message.Message, side map[keys.Role]string) {
	t.Helper()
	name := e.program.Describe().Name
	var text bytes.Buffer
	if m.Kind == message.Answer {
		fmt.Fprintf(&text, "HTTP/1.1 %d OK\r\n", m.Status)
	} else {
		fmt.Fprintf(&text, "%s %s HTTP/1.1\r\nHost: %s\r\n", m.Method, m.URI(), m.Host)
	}
	for _, header := range slices.Sorted(maps.Keys(m.Header)) {
		for _, value := range m.Header[header] {
			fmt.Fprintf(&text, "%s: %s\r\n", header, value)
		}
	}
	text.WriteString("\r\n")
	text.Write(m.Wire)
	put := func(text []byte, path ...string) {
		file := filepath.Join(append([]string{name}, path...)...)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755)) //nolint:gosec // of the checkout
		require.NoError(t, os.WriteFile(file, text, 0o644))        //nolint:gosec // of the checkout
	}
	put(text.Bytes(), "messages", "made-"+kind+".http")
	ref := map[bool]string{true: "test/made-provider", false: "test/made"}[m.Kind == message.Request]
	about := map[string]any{
		"kind": m.Kind, "ref": ref, "at": e.now, "proof": made,
		"source": "made by this recipe, with keys of its own: it holds what the recipe does and proves nothing of the provider's rule",
	}
	if options := needed[name]; options != nil {
		about["options"] = options
	}
	note, err := json.MarshalIndent(about, "", " ")
	require.NoError(t, err)
	put(append(note, '\n'), "messages", "made-"+kind+".json")
	for role, key := range side {
		plain, _ := role.Split()
		if plain == keys.Encrypt || plain == keys.Sign { // nothing is opened with them
			continue
		}
		put([]byte(strings.TrimRight(key, "\n")+map[bool]string{true: "", false: "\n"}[plain == keys.SharedSecret]), "keys", ref, role.FileName())
	}
}
