package providers_test

import (
	"bytes"
	"encoding/json"
	"net/textproto"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/providers"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/recipe/attack"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// note is what stands beside a message: NAME.json beside NAME.http.
type note struct {
	Kind    message.Kind        `json:"kind"`
	At      string              `json:"at"`
	Ref     string              `json:"ref"`
	Options map[string][]string `json:"options"`

	// Of a vector that says what the application has: sealing it makes the message, and
	// Canonical is what is signed.
	Seal      *plain `json:"seal"`
	Canonical string `json:"canonical"`

	// Tamper is what is signed and stands in the body, and what it becomes, where the
	// usual change would hit nothing that is signed.
	Tamper []string `json:"tamper"`

	Proof  string `json:"proof"`
	Unread string `json:"unread"` // why no provider could read it
}

// plain is what an application sends.
type plain struct {
	Method  string            `json:"method"`
	URI     string            `json:"uri"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

// Every message that stands in a provider's folder verifies, requests as at the provider, and
// does not once any byte of its body that is signed has changed.
func TestMessages(t *testing.T) {
	files, err := filepath.Glob("*/messages/*.http")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			name := strings.Split(file, "/")[0]
			n := readNote(t, strings.TrimSuffix(file, ".http")+".json")
			r, ok := providers.Find(name)
			require.True(t, ok)
			p, err := recipe.Compile(name, r, n.Options)
			require.NoError(t, err)
			set := readKeys(t, filepath.Join(name, "keys", n.Ref))
			now := time.Now()
			if n.At != "" {
				now, err = time.Parse(time.RFC3339, n.At)
				require.NoError(t, err)
			}
			if n.Kind == message.Request {
				if n.Unread != "" {
					t.Skip(n.Unread)
				}
				_, err := p.VerifyRequest(readMessage(t, file, n.Kind), set, now)
				require.NoError(t, err)
				m := readMessage(t, file, n.Kind)
				switch {
				case n.Proof == made: // the attacks below are all there is
					m.Wire, m.Query = nil, ""
				case n.Tamper != nil:
					m.Wire = altered(t, m.Wire, n.Tamper)
				case len(m.Wire) > 0:
					m.Wire = bytes.Replace(m.Wire, []byte("e"), []byte("a"), 1)
				default:
					m.Path += "x"
				}
				_, err = p.VerifyRequest(m, set, now)
				assert.Error(t, err)
				attackMessage(t, p, readMessage(t, file, n.Kind), func(m *message.Message) error {
					_, err := p.VerifyRequest(m, set, now)
					return err
				})
				return
			}
			d := p.Describe().Answer
			if n.Kind == message.Notification {
				d = p.Describe().Notification
			}
			open := func(m *message.Message) error {
				if err := d.Format.Read(m); err != nil {
					return err
				}
				_, err := scheme.Open(p, scheme.Incoming{Message: m, Keys: set, Now: now})
				return err
			}
			require.NoError(t, open(readMessage(t, file, n.Kind)))

			if n.Proof == made {
				attackMessage(t, p, readMessage(t, file, n.Kind), open)
				return
			}
			m := readMessage(t, file, n.Kind)
			if n.Tamper == nil {
				n.Tamper = []string{"0", "9"}
			}
			if strings.Contains(m.Query, n.Tamper[0]) { // of Mercado Pago's, only the query is signed
				m.Query = string(altered(t, []byte(m.Query), n.Tamper))
			} else {
				m.Wire = altered(t, m.Wire, n.Tamper)
			}
			refusals := []scheme.Reason{scheme.BadSignature}
			if d.Format.Sealed { // what is signed is the plaintext, which may not open
				refusals = append(refusals, scheme.Decryption)
			}
			assert.Contains(t, refusals, scheme.ReasonOf(open(m)))
			attackMessage(t, p, readMessage(t, file, n.Kind), open)
		})
	}
}

// What a vector says the application has is sealed to the vector's own bytes. An SM2
// signature is another one each time: its text is compared.
func TestVectorsAreSealed(t *testing.T) {
	files, err := filepath.Glob("*/messages/*.http")
	require.NoError(t, err)
	sealed := 0
	for _, file := range files {
		n := readNote(t, strings.TrimSuffix(file, ".http")+".json")
		if n.Seal == nil {
			continue
		}
		sealed++
		t.Run(file, func(t *testing.T) {
			name := strings.Split(file, "/")[0]
			r, _ := providers.Find(name)
			p, err := recipe.Compile(name, r, n.Options)
			require.NoError(t, err)
			set := readKeys(t, filepath.Join(name, "keys", n.Ref))
			now, err := time.Parse(time.RFC3339, n.At)
			require.NoError(t, err)
			m := message.New(message.Request)
			m.Method = n.Seal.Method
			m.Path, m.Query, _ = strings.Cut(n.Seal.URI, "?")
			for name, value := range n.Seal.Headers {
				m.Header.Set(name, value)
			}
			if n.Seal.Body != "" {
				o, err := body.Parse([]byte(n.Seal.Body))
				require.NoError(t, err)
				m.SetPayload(o)
			}
			made, err := scheme.Seal(p, scheme.Request{Message: m, Keys: set, Now: now})
			require.NoError(t, err)
			assert.Equal(t, n.Canonical, string(made.Canonical()))
			want := readMessage(t, file, message.Request)
			assert.Equal(t, want.Method+" "+want.URI(), made.Message.Method+" "+made.Message.URI())
			assert.Equal(t, string(want.Wire), string(made.Message.Wire))
			for name := range want.Header {
				if name == "Content-Type" || name == "Authorization" && set.SignKey("").Kind == keys.KindSM2 {
					continue
				}
				assert.Equal(t, want.Header.Get(name), made.Message.Header.Get(name), name)
			}
		})
	}
	assert.NotZero(t, sealed)
}

// attackMessage changes a genuine message in every way that the recipe says it must
// not be.
func attackMessage(t *testing.T, p *recipe.Program, m *message.Message, open func(*message.Message) error) {
	t.Helper()
	refused := 0
	for _, c := range attack.Cases(p, m, nil) {
		if err := open(c.Message); c.Refused {
			refused++
			assert.Error(t, err, c.Name)
		}
	}
	assert.Greater(t, refused, 5)
}

func altered(t *testing.T, wire []byte, change []string) []byte {
	t.Helper()
	require.Len(t, change, 2)
	require.Contains(t, string(wire), change[0])
	return bytes.Replace(wire, []byte(change[0]), []byte(change[1]), 1)
}

func readNote(t *testing.T, file string) (n note) {
	t.Helper()
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &n))
	return n
}

// readMessage reads a message as curl -i shows it.
func readMessage(t *testing.T, file string, kind message.Kind) *message.Message {
	t.Helper()
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	head, wire, ok := bytes.Cut(raw, []byte("\r\n\r\n"))
	require.True(t, ok)
	lines := strings.Split(string(head), "\r\n")
	m := message.New(kind)
	m.Wire = wire
	first := strings.Split(lines[0], " ")
	if kind == message.Answer {
		m.Status, err = strconv.Atoi(first[1])
		require.NoError(t, err)
	} else {
		m.Method = first[0]
		m.Path, m.Query, _ = strings.Cut(first[1], "?")
	}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		m.Header.Add(textproto.CanonicalMIMEHeaderKey(name), value)
	}
	m.Scheme, m.Host = "https", m.Header.Get("Host")
	m.Header.Del("Host")
	return m
}

// readKeys reads the files of a key set.
func readKeys(t *testing.T, dir string) *keys.Set {
	t.Helper()
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	material := make(keys.Material)
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		require.NoError(t, err)
		material[keys.Role(strings.TrimSuffix(f.Name(), ".pem"))] = keys.Value{Text: text}
	}
	set, err := keys.Parse(dir, "1", material)
	require.NoError(t, err)
	return set
}
