package inspector_test

import (
	"bytes"
	"crypto/rand"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
)

// Without bodies no value of a message is kept, not even in memory: nothing that is
// alive in the process holds one, where an exchange is good and where it fails. With
// bodies the same search finds it.
func TestWithoutBodiesNothingIsInMemory(t *testing.T) {
	for options, kept := range map[string]bool{"": false, "bodies": true} {
		t.Run(options, func(t *testing.T) {
			d := start(t, options)
			const original = "831135358120002"
			value := []byte(rand.Text()[:len(original)]) // in a member that is encrypted
			for _, query := range []string{"", "?fault=tampered", "?fault=unsigned", "?fault=not_json", "?fault=truncated"} {
				body := bytes.Replace(sample(t, "easypay"), []byte(original), value, 1)
				require.True(t, bytes.Contains(body, value))
				testcaddy.Post(t, "http://"+d.sidecar+"/easypay/ledger/mpos"+query, body)
				clear(body)
			}
			for range 5 { // the sandbox and buffers of connections hold the last message
				require.Equal(t, http.StatusOK, d.pay("").Status)
			}
			require.Len(t, d.records(), 10)
			for i := range value { // the search must not find itself
				value[i] ^= 0xff
			}
			for range 3 { // pools are emptied by the second
				runtime.GC()
			}
			debug.FreeOSMemory()
			assert.Equal(t, kept, inHeap(t, value))
		})
	}
}

// inHeap reports whether a value, given with all bits turned round, is in an object
// of the heap that is alive.
func inHeap(t *testing.T, turned []byte) bool {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "heap"))
	require.NoError(t, err)
	defer file.Close()
	debug.WriteHeapDump(file.Fd())
	dump, err := os.ReadFile(file.Name())
	require.NoError(t, err)
	for i := range dump {
		dump[i] ^= 0xff
	}
	return bytes.Contains(dump, turned)
}
