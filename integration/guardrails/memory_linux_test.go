package guardrails_test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/countersign/caddy-countersign/integration/process"
	"github.com/countersign/caddy-countersign/module/network/networktest"
)

// scanSocket in the environment of a sidecar names a socket at which it tells how
// often some bytes stand in its memory. It looks at itself: other processes may not.
const scanSocket = "COUNTERSIGN_GUARDRAILS_SCAN"

// serveScans answers scans. A question is a JSON object on a line: names, and for
// each the bytes in hex with every bit turned, so that the question itself is not
// found.
func serveScans(socket string) {
	ln, err := net.Listen("unix", socket)
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			var question map[string]string
			if json.NewDecoder(conn).Decode(&question) == nil {
				_ = json.NewEncoder(conn).Encode(scan(question))
			}
			conn.Close()
		}
	}()
}

// scan counts how often each of the bytes stands in the memory of this process: at
// once, and under the name with ", kept" after what nothing refers to is gone.
func scan(question map[string]string) map[string]int {
	all := scanMemory(question)
	runtime.GC()
	debug.FreeOSMemory()
	for name, n := range scanMemory(question) {
		all[name+", kept"] = n
	}
	return all
}

// scanMemory reads into a buffer that is not part of the heap and is passed over.
func scanMemory(question map[string]string) map[string]int {
	const chunk, overlap = 1 << 20, 4096
	buffer, err := unix.Mmap(-1, 0, chunk+overlap, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		panic(err)
	}
	defer unix.Munmap(buffer) //nolint:errcheck // the process ends soon
	own := addressOf(buffer)
	turned := make(map[string][]byte)
	for name, text := range question {
		turned[name], _ = hex.DecodeString(text)
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		panic(err)
	}
	defer maps.Close()
	found := make(map[string]int)
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		var begin, end uint64
		var mode string
		if n, _ := fmt.Sscanf(lines.Text(), "%x-%x %s", &begin, &end, &mode); n != 3 || !strings.HasPrefix(mode, "rw") {
			continue
		}
		if begin <= own && own < end { // what lies around the buffer is the kernel's merging of mappings
			continue
		}
		for at := begin; at < end; at += chunk {
			want := min(end-at, chunk+overlap)
			n, err := unix.ProcessVMReadv(os.Getpid(), []unix.Iovec{iovec(buffer[:want])}, []unix.RemoteIovec{{Base: uintptr(at), Len: int(want)}}, 0)
			if err != nil || n <= 0 {
				continue
			}
			for name, pattern := range turned {
				found[name] += count(buffer[:n], pattern, int(min(uint64(n), chunk)))
			}
		}
	}
	return found
}

// count returns how often a pattern, whose bits are turned, begins in the first bytes of
// a text.
func count(text, turned []byte, first int) (n int) {
	for at := 0; at < first; at++ {
		next := bytes.IndexByte(text[at:], ^turned[0])
		if next < 0 || at+next >= first {
			return n
		}
		at += next
		if at+len(turned) > len(text) {
			continue
		}
		same := true
		for i, b := range turned {
			if text[at+i] != ^b {
				same = false
				break
			}
		}
		if same {
			n++
		}
	}
	return n
}

// copies asks a sidecar how often some bytes stand in its memory.
func copies(t *testing.T, socket string, patterns map[string][]byte) map[string]int {
	t.Helper()
	question := make(map[string]string)
	for name, pattern := range patterns {
		turned := make([]byte, len(pattern))
		for i, b := range pattern {
			turned[i] = ^b
		}
		question[name] = hex.EncodeToString(turned)
	}
	conn, err := net.Dial("unix", socket)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	require.NoError(t, json.NewEncoder(conn).Encode(question))
	var found map[string]int
	require.NoError(t, json.NewDecoder(conn).Decode(&found))
	return found
}

// reversed returns a number as math/big holds it on a little-endian machine.
func reversed(big []byte) []byte {
	out := make([]byte, len(big))
	for i, b := range big {
		out[len(big)-1-i] = b
	}
	return out
}

// What of a key is in the memory of a sidecar that has signed: the forms in which
// it computes, and nothing of the files that it was read from.
func TestCopiesOfKeysInMemory(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	require.NoError(t, err)
	secret := hex.EncodeToString(func() []byte { b := make([]byte, 24); _, _ = rand.Read(b); return b }())
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})

	dir := process.Folder(t)
	write := func(name string, content []byte) {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	write("keys/jeepay/rsa/sign.pem", text)
	write("keys/jeepay/rsa/verify.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
	write("keys/jeepay/md5/secret", []byte(secret))
	address, socket := networktest.Address(t), filepath.Join(dir, "scan")
	p := startProvider(t)
	start(t, `{
	admin off
	persist_config off
	countersign {
		keys file `+dir+`/keys {
			refresh 200ms
		}
	}
}
http://`+address+` {
	bind 127.0.0.1
	handle_path /rsa/* {
		countersign jeepay `+p.Listener.Addr().String()+` {
			keys jeepay/rsa
			sign_type RSA2
			mch_no M1
			app_id A1
		}
	}
	handle_path /md5/* {
		countersign jeepay `+p.Listener.Addr().String()+` {
			keys jeepay/md5
			mch_no M1
			app_id A1
		}
	}
}
`, "tcp", address, scanSocket+"="+socket, "GOGC=20")
	body := strings.NewReplacer("\n", "").Replace(string(text))
	patterns := map[string][]byte{
		"prime, as text":    key.Primes[0].Bytes(),
		"prime, as limbs":   reversed(key.Primes[0].Bytes()),
		"exponent, DER":     key.D.Bytes(),
		"exponent, limbs":   reversed(key.D.Bytes()),
		"file, PEM":         text[200:260],
		"file, Base64":      []byte(base64.StdEncoding.EncodeToString(der))[400:460],
		"shared secret":     []byte(secret),
		"nothing like that": []byte("0123456789" + body[len(body)-40:len(body)-30] + "zyxwvutsrq"),
	}
	ask := func() {
		for range 40 {
			for _, path := range []string{"/rsa/", "/md5/"} {
				a, err := post(client("tcp", address), "http://"+address+path+"api/transferOrder",
					fmt.Sprintf(`{"mchOrderNo":"%d","account":"A","amount":"1.00","at":"1"}`, time.Now().UnixNano()))
				require.NoError(t, err)
				require.NotEqual(t, "signing_failed", a.reason(), a.Body)
				require.NotEqual(t, "keys_unavailable", a.reason(), a.Body)
			}
		}
	}
	ask()
	found := copies(t, socket, patterns)
	t.Logf("after 80 requests: %v", found)
	assert.Zero(t, found["nothing like that"], "the scan finds what is not there")
	assert.Positive(t, found["prime, as limbs"]+found["exponent, limbs"], "the scan finds nothing")
	assert.Positive(t, found["shared secret"], "the scan finds nothing")
	for range 2 {
		ask()
	}
	later := copies(t, socket, patterns)
	t.Logf("after 240 requests: %v", later)
	// Nothing refers to what was decoded from a file. Some of its text may stand
	// where nothing has been written since, and what a stack still points to is kept
	// for a while.
	assert.Zero(t, later["file, Base64"])
	for name, most := range map[string]int{
		"exponent, DER": 4, "exponent, limbs": 4, "prime, as limbs": 3, "prime, as text": 8, "file, PEM": 4, "shared secret": 10,
	} {
		assert.LessOrEqual(t, later[name+", kept"], most, name)
	}
}
