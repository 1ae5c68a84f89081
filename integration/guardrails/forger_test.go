package guardrails_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/integration/process"
	"github.com/countersign/caddy-countersign/module/telemetry/auditchain"
)

// evidence is an audit log in files, as lines.
type evidence struct {
	t     *testing.T
	files map[string][]string
	state string
	key   string // the fingerprint of the key that signs
	own   string // that of the forger
	sign  func(head auditchain.Head, at string) (fields map[string]any)
}

func (e *evidence) names() []string { return slices.Sorted(maps.Keys(e.files)) }

// clone returns a copy to be spoiled.
func (e *evidence) clone() *evidence {
	c := *e
	c.files = make(map[string][]string)
	for name, lines := range e.files {
		c.files[name] = slices.Clone(lines)
	}
	return &c
}

// all returns the lines in their order, and where each stands.
func (e *evidence) all() (lines []string, places []string) {
	for _, name := range e.names() {
		for range e.files[name] {
			places = append(places, name)
		}
		lines = append(lines, e.files[name]...)
	}
	return lines, places
}

// set puts lines into the places of the former ones, and what is too much into the
// last file.
func (e *evidence) set(lines []string) {
	_, places := e.all()
	for name := range e.files {
		e.files[name] = nil
	}
	for i, line := range lines {
		place := places[min(i, len(places)-1)]
		e.files[place] = append(e.files[place], line)
	}
}

// change changes the lines.
func (e *evidence) change(f func([]string) []string) *evidence {
	lines, _ := e.all()
	e.set(f(lines))
	return e
}

// forge gives the lines new links, and new checkpoints by the forger's key, from
// the first that does not fit on: what somebody does who can write the files and has
// no key of ours.
func (e *evidence) forge(resign bool) *evidence {
	return e.change(func(lines []string) []string {
		head := auditchain.Start
		for i, line := range lines {
			entry := parse(line)
			entry["prev"], entry["seq"] = head.Hash, head.Seq+1
			if entry["msg"] == "checkpoint" && resign {
				maps.Copy(entry, e.sign(head, entry["time"].(string)))
			}
			text, err := json.Marshal(entry)
			require.NoError(e.t, err)
			head.Hash, err = auditchain.Hash(text)
			require.NoError(e.t, err)
			head.Seq++
			entry["hash"] = head.Hash
			text, err = json.Marshal(entry)
			require.NoError(e.t, err)
			lines[i] = string(text)
		}
		return lines
	})
}

func (e *evidence) edit(i int, old, replacement string) *evidence {
	return e.change(func(lines []string) []string {
		edited := strings.Replace(lines[i], old, replacement, 1)
		require.NotEqual(e.t, lines[i], edited)
		lines[i] = edited
		return lines
	})
}

// write writes the files and returns their names.
func (e *evidence) write() (files []string) {
	dir := process.Folder(e.t)
	for _, name := range e.names() {
		file := filepath.Join(dir, name)
		require.NoError(e.t, os.WriteFile(file, []byte(strings.Join(e.files[name], "\n")+"\n"), 0o600))
		files = append(files, file)
	}
	return files
}

// judge verifies the files, and says what the command would.
func (e *evidence) judge(options auditchain.Options) (said string, whole bool) {
	report, err := auditchain.Verify(e.write(), options)
	require.NoError(e.t, err)
	var out strings.Builder
	for _, c := range report.Checkpoints {
		fmt.Fprintf(&out, "signed by key %s\n", c.Key)
	}
	for _, fault := range report.Faults {
		fmt.Fprintln(&out, fault)
	}
	return out.String(), report.Whole()
}
