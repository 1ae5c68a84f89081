// Package peers lets clients that others have written, in JavaScript and in Go, judge the
// recipes that ship, and the recipes judge them.
package peers

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/providers"
	"github.com/countersign/caddy-countersign/module/recipe"
	"github.com/countersign/caddy-countersign/module/scheme"
)

// node is the process of peer.js.
type node struct {
	process *exec.Cmd
	in      *json.Encoder
	out     *bufio.Reader
	mutex   sync.Mutex
}

var (
	once   sync.Once
	peer   *node
	absent string
	broken error
)

func TestMain(m *testing.M) {
	code := m.Run()
	if peer != nil {
		_ = peer.process.Process.Kill()
		_ = peer.process.Wait()
	}
	os.Exit(code)
}

// clients returns the running peer.js. Without Node the test is skipped, and says so. Where Node
// is, a package that cannot be installed is a failure.
func clients(t *testing.T) *node {
	t.Helper()
	once.Do(start)
	if absent != "" {
		t.Skip(absent)
	}
	require.NoError(t, broken)
	return peer
}

func start() {
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			absent = program + " is not on PATH, so that the clients in JavaScript are not asked"
			return
		}
	}
	if _, err := os.Stat(filepath.Join("node_modules", ".package-lock.json")); err != nil {
		install := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--omit=dev")
		install.Stderr = os.Stderr
		if broken = install.Run(); broken != nil {
			return
		}
	}
	process := exec.Command("node", "peer.js")
	process.Stderr = os.Stderr
	in, err := process.StdinPipe()
	if broken = err; err != nil {
		return
	}
	out, err := process.StdoutPipe()
	if broken = err; err != nil {
		return
	}
	broken = process.Start()
	peer = &node{process: process, in: json.NewEncoder(in), out: bufio.NewReader(out)}
}

// call asks a client, and reads what it says.
func (n *node) call(t *testing.T, name string, args, result any) {
	t.Helper()
	n.mutex.Lock()
	defer n.mutex.Unlock()
	require.NoError(t, n.in.Encode(map[string]any{"call": name, "args": args}))
	line, err := n.out.ReadBytes('\n')
	require.NoError(t, err, "peer.js has ended")
	var reply struct {
		Result json.RawMessage
		Error  string
	}
	require.NoError(t, json.Unmarshal(line, &reply))
	require.Empty(t, reply.Error, name)
	require.NoError(t, json.Unmarshal(reply.Result, result))
}

// passes asks a client whether it takes a message.
func (n *node) passes(t *testing.T, name string, args any) (ok bool) {
	t.Helper()
	n.call(t, name, args, &ok)
	return ok
}

type args = map[string]any

func program(t *testing.T, name string, options recipe.Settings) *recipe.Program {
	t.Helper()
	r, ok := providers.Find(name)
	require.True(t, ok, name)
	p, err := recipe.Compile(name, r, options)
	require.NoError(t, err)
	return p
}

func keySet(t *testing.T, material map[keys.Role]string) *keys.Set {
	t.Helper()
	values := make(keys.Material)
	for role, text := range material {
		values[role] = keys.Value{Text: []byte(text)}
	}
	set, err := keys.Parse("peers", "1", values)
	require.NoError(t, err)
	require.Empty(t, set.Broken)
	return set
}

// seal seals a request of the application.
func seal(t *testing.T, p *recipe.Program, set *keys.Set, method, uri, text string) *message.Message {
	t.Helper()
	m := message.New(message.Request)
	m.Method, m.Path = method, uri
	if text != "" {
		o, err := body.Parse([]byte(text))
		require.NoError(t, err)
		m.SetPayload(o)
	}
	sealed, err := scheme.Seal(p, scheme.Request{Message: m, Keys: set, Now: time.Now()})
	require.NoError(t, err)
	return sealed.Message
}

// open opens what came in.
func open(p *recipe.Program, kind message.Kind, set *keys.Set, wire string, header map[string]string) (*scheme.Verified, error) {
	m := message.New(kind)
	m.Method, m.Path, m.Status, m.Wire = "POST", "/notify", 200, []byte(wire)
	for name, value := range header {
		m.Header.Set(name, value)
	}
	d := p.Describe().Answer
	if kind == message.Notification {
		d = p.Describe().Notification
	}
	if err := d.Format.Read(m); err != nil {
		return nil, err
	}
	return scheme.Open(p, scheme.Incoming{Message: m, Keys: set, Now: time.Now()})
}
