package guardrails_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/integration/process"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/network/networktest"
	"github.com/countersign/caddy-countersign/module/telemetry/auditchain"
)

// parse returns a line of a log as an object, or nil.
func parse(line string) map[string]any {
	var e map[string]any
	_ = json.Unmarshal([]byte(line), &e)
	return e
}

// verify runs the command as an auditor does.
func (s *sidecar) verify(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := process.Command(t, process.Folder(t), append([]string{"countersign", "audit", "verify"}, args...)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// recorded makes an audit log with a real sidecar: over a crash, a restart and
// rotated files, with checkpoints by a key of its own.
func recorded(t *testing.T) (*sidecar, *evidence) {
	t.Helper()
	dir := process.Folder(t)
	require.NoError(t, os.CopyFS(filepath.Join(dir, "keys"), os.DirFS(filepath.Join(repository(t), "keys-dev/merchant"))))
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "keys/audit"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "keys/audit/sign.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	address := networktest.Address(t)
	p := startProvider(t)
	s := start(t, `{
	admin off
	persist_config off
	log audit {
		output file $DIR/audit.log {
			mode 0600
			roll_interval 1s
			roll_uncompressed
			roll_keep 100
		}
		include http.countersign.audit
	}
	log default {
		exclude http.countersign.audit
	}
	countersign {
		keys file `+dir+`/keys
		audit {
			intent
			chain audit {
				state $DIR/state
			}
		}
	}
}
http://`+address+` {
	bind 127.0.0.1
	handle_path /pay/* {
		countersign jeepay `+p.Listener.Addr().String()+` {
			keys jeepay/M1623997351
			mch_no M1
			app_id A1
			limit amount 5
		}
	}
}
`, "tcp", address)
	pay := func(n int) {
		for i := range n {
			_, err := post(client("tcp", address), "http://"+address+"/pay/api/transferOrder", fmt.Sprintf(`{"mchOrderNo":"%d","account":"A","amount":"%d","at":"1"}`, time.Now().UnixNano(), 4+i%2*2))
			require.NoError(t, err)
		}
	}
	names := func() []string {
		found, err := filepath.Glob(filepath.Join(s.Dir, "audit*.log"))
		require.NoError(t, err)
		return found
	}
	pay(4) // two that are sent, with an intent each, and two that are refused: 6 entries
	s.Kill()
	s.again()
	pay(2)
	require.Eventually(t, func() bool { pay(1); return len(names()) >= 2 }, 30*time.Second, 300*time.Millisecond, "the file is rotated")
	s.Stop() // with a checkpoint
	s.again()
	require.Eventually(t, func() bool { pay(2); return len(names()) >= 3 }, 30*time.Second, 300*time.Millisecond, "the file is rotated again")
	s.Stop()
	s.again()
	pay(2)
	s.Kill() // without one: the end is not signed

	other, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	public, err := x509.MarshalPKIXPublicKey(&other.PublicKey)
	require.NoError(t, err)
	e := &evidence{
		t: t, files: make(map[string][]string), state: filepath.Join(s.Dir, "state"),
		key: keys.Fingerprint(&key.PublicKey), own: keys.Fingerprint(&other.PublicKey),
		sign: func(head auditchain.Head, at string) map[string]any {
			digest := sha256.Sum256(auditchain.Signed(head, at))
			signature, err := rsa.SignPKCS1v15(nil, other, crypto.SHA256, digest[:])
			require.NoError(t, err)
			return map[string]any{
				"checkpoint_seq": head.Seq, "checkpoint_hash": head.Hash, "key": keys.Fingerprint(&other.PublicKey),
				"public_key": base64.StdEncoding.EncodeToString(public), "signature": base64.StdEncoding.EncodeToString(signature),
			}
		},
	}
	for _, file := range names() {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		name := filepath.Base(file)
		if name == "audit.log" {
			name = "audit-zz.log" // the last
		}
		e.files[name] = strings.Split(strings.TrimSpace(string(text)), "\n")
	}
	return s, e
}

// Each way to spoil the evidence, by somebody who can write the log files and has no
// key of ours: what the command says of it.
func TestEvidence(t *testing.T) {
	s, e := recorded(t)
	lines, _ := e.all()
	count := len(lines)
	checkpoints, last := []int{}, 0
	for i, line := range lines {
		entry := parse(line)
		require.EqualValues(t, i+1, entry["seq"], "line %d", i)
		if entry["msg"] == "checkpoint" {
			checkpoints, last = append(checkpoints, i), i
		}
	}
	require.Len(t, checkpoints, 2)
	require.Less(t, last, count-3, "the end is not signed")
	require.GreaterOrEqual(t, len(e.files), 3)
	first := e.names()[0]
	middle, end := e.names()[1], e.names()[len(e.names())-1]

	end0, err := auditchain.ReadState(e.state)
	require.NoError(t, err)
	known := auditchain.Options{Keys: []string{e.key}, End: end0}

	t.Run("whole", func(t *testing.T) {
		out, err := s.verify(t, append([]string{"--key", e.key, "--state", e.state}, e.write()...)...)
		require.NoError(t, err, out)
		assert.Contains(t, out, fmt.Sprintf("whole: %d entries, 1 to %d", count, count))
		assert.Contains(t, out, fmt.Sprintf("; the last %d, up to ", count-last))
		assert.Equal(t, 2, strings.Count(out, "are signed by key "+e.key+" (audit)"))
		for _, name := range e.names() {
			assert.Contains(t, out, name+": entries ")
		}
	})
	t.Run("whole, under other names", func(t *testing.T) {
		c := e.clone()
		c.files = map[string][]string{"b": c.files[first], "a": c.files[middle], "0": c.files[end]}
		for i, name := range e.names()[2 : len(e.names())-1] {
			c.files[fmt.Sprint("c", i)] = e.files[name]
		}
		out, whole := c.judge(known)
		assert.True(t, whole, out)
	})
	t.Run("broken, by the command", func(t *testing.T) {
		c := e.clone().change(func(l []string) []string { return slices.Delete(l, 2, 5) })
		out, err := s.verify(t, append([]string{"--key", e.own, "--state", e.state}, c.write()...)...)
		require.Error(t, err)
		assert.Contains(t, out, "entries 3 to 5 are missing")
		assert.Contains(t, out, "the checkpoint is signed by another key, "+e.key)
		assert.Contains(t, out, "the chain is not whole")
		assert.NotContains(t, out, "whole:")
	})

	drop := func(from, to int) func([]string) []string {
		return func(l []string) []string { return slices.Delete(l, from, to) }
	}
	without := func(name string) func(*evidence) {
		return func(c *evidence) { delete(c.files, name) }
	}
	for name, test := range map[string]struct {
		spoil func(c *evidence)
		want  string // what it says, with the key and the state file
		blind bool   // whether it does not show without them
	}{
		"an outcome is edited":                    {func(c *evidence) { c.edit(1, `"outcome":"`, `"outcome":"ok`) }, "entry 2 was changed", false},
		"a time is edited":                        {func(c *evidence) { c.edit(1, `"time":"2`, `"time":"1`) }, "entry 2 was changed", false},
		"the log's own time is edited":            {func(c *evidence) { c.edit(1, `"ts":1`, `"ts":2`) }, "ts is not the time", false},
		"a caller is added":                       {func(c *evidence) { c.edit(1, `"outcome"`, `"caller":"bo","outcome"`) }, "entry 2 was changed", false},
		"a member is taken out":                   {func(c *evidence) { c.edit(1, `"profile":"jeepay",`, ``) }, "entry 2 was changed", false},
		"an entry is cut out":                     {func(c *evidence) { c.change(drop(2, 3)) }, "entry 3 is missing", false},
		"entries are cut out":                     {func(c *evidence) { c.change(drop(2, 5)) }, "entries 3 to 5 are missing", false},
		"the start is cut off":                    {func(c *evidence) { c.change(drop(0, 2)) }, "entries 1 to 2 are missing", false},
		"the end is cut off":                      {func(c *evidence) { c.change(drop(count-2, count)) }, fmt.Sprintf("entries %d to %d are missing", count-1, count), true},
		"the end is cut off, with the checkpoint": {func(c *evidence) { c.change(drop(last, count)) }, fmt.Sprintf("entries %d to %d are missing", last+1, count), true},
		"the last line is cut short":              {func(c *evidence) { c.change(func(l []string) []string { l[count-1] = l[count-1][:50]; return l }) }, "not a whole JSON object", false},
		"the first file is gone":                  {without(first), "entries 1 to ", false},
		"a rotated file is gone":                  {without(middle), "are missing", false},
		"the last file is gone":                   {without(end), fmt.Sprintf("to %d are missing", count), true},
		"two entries are swapped":                 {func(c *evidence) { c.change(func(l []string) []string { l[2], l[3] = l[3], l[2]; return l }) }, "is out of order or repeated", false},
		"two files are mixed": {func(c *evidence) {
			c.files[first], c.files[middle] = append(c.files[first][:1:1], c.files[middle]...), c.files[first][1:]
		}, "is out of order or repeated", false},
		"an entry is repeated":                   {func(c *evidence) { c.change(func(l []string) []string { return slices.Insert(l, 4, l[1]) }) }, "is out of order or repeated", false},
		"an old file is replayed":                {func(c *evidence) { c.files[end] = append(c.files[end], c.files[first]...) }, "a new chain begins here", false},
		"an old file takes the place of a newer": {func(c *evidence) { c.files[middle] = slices.Clone(c.files[first]) }, "a new chain begins here", false},
		"an edited entry gets its hash": {func(c *evidence) {
			c.change(func(l []string) []string {
				entry := parse(l[1])
				entry["outcome"] = "ok"
				entry["upstream_status"] = 599
				text, _ := json.Marshal(entry)
				entry["hash"], _ = auditchain.Hash(text)
				text, _ = json.Marshal(entry)
				l[1] = string(text)
				return l
			})
		}, "entry 3 does not follow entry 2", false},
		"all is linked anew": {func(c *evidence) { c.edit(1, `"upstream_status":`, `"upstream_status":1`).forge(false) },
			"is not the one that this checkpoint signs", false},
		"all is linked anew, and signed by the forger": {func(c *evidence) { c.edit(1, `"upstream_status":`, `"upstream_status":1`).forge(true) },
			"the checkpoint is signed by another key, " + e.own, true},
		"all is linked anew, without checkpoints": {func(c *evidence) {
			c.edit(1, `"upstream_status":`, `"upstream_status":1`).change(func(l []string) []string {
				return slices.DeleteFunc(l, func(line string) bool { return parse(line)["msg"] == "checkpoint" })
			}).forge(false)
		}, "there is no checkpoint by the given key", true},
		"the end behind the checkpoint is written anew": {func(c *evidence) { c.edit(count-1, `"upstream_status":`, `"upstream_status":1`).forge(false) },
			"is not the one that the state file names", true},
		"entries are added at the end": {func(c *evidence) { c.change(func(l []string) []string { return append(l, l[count-2]) }).forge(false) },
			fmt.Sprintf("entries from %d on were added", count+1), true},
		"a checkpoint names another key": {func(c *evidence) { c.edit(last, `"key":"`+e.key, `"key":"`+e.own) }, "was changed", false},
		"a checkpoint's signature is of another entry": {func(c *evidence) {
			c.change(func(l []string) []string {
				entry := parse(l[last])
				entry["signature"] = parse(l[checkpoints[0]])["signature"]
				text, _ := json.Marshal(entry)
				l[last] = string(text)
				return l
			}).forge(false)
		}, "its signature does not verify", false},
		"a genuine checkpoint is moved": {func(c *evidence) {
			c.change(func(l []string) []string {
				l[1], l[checkpoints[0]] = l[checkpoints[0]], l[1]
				return l
			}).forge(false)
		}, "is not the one that", false},
	} {
		t.Run(name, func(t *testing.T) {
			c := e.clone()
			c.t = t
			test.spoil(c)
			out, whole := c.judge(known)
			assert.False(t, whole)
			assert.Contains(t, out, test.want)
			out, whole = c.judge(auditchain.Options{})
			assert.Equal(t, test.blind, whole, out)
			if !test.blind {
				assert.Contains(t, out, test.want)
			}
		})
	}
	t.Run("without its chain", func(t *testing.T) {
		other := e.clone()
		other.files = map[string][]string{"plain.log": {`{"logger":"http.countersign.audit","msg":"exchange"}`}}
		out, whole := other.judge(auditchain.Options{})
		assert.False(t, whole)
		assert.Contains(t, out, "there are no chained entries")
	})
}
