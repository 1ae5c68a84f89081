package proxy_test

import (
	"crypto/aes"
	"crypto/rand"
	"crypto/rsa"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/internal/testcaddy"
)

// oracle are encrypted members, each of which is wrong in another way. Who can
// tell two of them apart can decrypt envelopes.
func oracle(t *testing.T, public *rsa.PublicKey, envelopeOfStranger string) map[string]map[string]string {
	t.Helper()
	key := strings.Repeat("k", 32)
	wrap := func(text string) string {
		sealed, err := rsa.EncryptPKCS1v15(rand.Reader, public, []byte(text))
		require.NoError(t, err)
		return bare64(sealed)
	}
	block, err := aes.NewCipher([]byte(key))
	require.NoError(t, err)
	encrypt := func(text string) string {
		out := []byte(text + strings.Repeat(" ", (16-len(text)%16)%16))
		for i := 0; i < len(out); i += 16 {
			block.Encrypt(out[i:], out[i:])
		}
		return bare64(out)
	}
	good := encrypt(`[{"a":"1"}]`)
	size := public.Size()
	members := func(envelope, text string) map[string]string {
		return map[string]string{"orderSubDetails": text, "dgtlEnvlp": envelope}
	}
	return map[string]map[string]string{
		"bad padding":                   members(bare64(append([]byte{0}, slices.Repeat([]byte{0x5a}, size-1)...)), good),
		"zero":                          members(bare64(make([]byte, size)), good),
		"over the modulus":              members(bare64(slices.Repeat([]byte{0xff}, size)), good),
		"too short":                     members(bare64(make([]byte, size-1)), good),
		"too long":                      members(bare64(make([]byte, size+1)), good),
		"a key of another organisation": members(envelopeOfStranger, good),
		"a short key":                   members(wrap(key[1:]), good),
		"a long key":                    members(wrap(key+"k"), good),
		"no key":                        members(wrap(""), good),
		"a prefix that is not ours":     members(wrap("01|"+key), good),
		"a key that is not ASCII":       members(wrap(key[2:]+"é"), good),
		"a key with a control":          members(wrap(key[1:]+"\x00"), good),
		"another key":                   members(wrap(strings.Repeat("x", 32)), good),
		"not Base64":                    members("%%%%", good),
		"url-safe Base64":               members("-_-_", good),
		"no envelope":                   {"orderSubDetails": good},
		"a text that is not Base64":     members(wrap(key), "%"),
		"half a block":                  members(wrap(key), bare64(make([]byte, 17))),
		"a text that is not UTF-8":      members(wrap(key), encrypt("\xff\xfe")),
		"a text that is not JSON":       members(wrap(key), encrypt("[")),
		"an object with a name twice":   members(wrap(key), encrypt(`{"a":1,"a":2}`)),
		"a text of spaces":              members(wrap(key), encrypt(" ")),
	}
}

// TestOneAnswerForEveryDecryptionThatFails sends them signed by the provider:
// the status, the headers and every byte of the body but the id are the same.
func TestOneAnswerForEveryDecryptionThatFails(t *testing.T) {
	d := newDouble(t)
	s := startSidecar(t, d.Address, "")
	stranger, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	sealed, err := rsa.EncryptPKCS1v15(rand.Reader, &stranger.PublicKey, []byte(strings.Repeat("k", 32)))
	require.NoError(t, err)

	var first string
	cases := oracle(t, merchantKey(t).Public, bare64(sealed))
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		d.set(d.signed(cases[name]))
		answer := s.post(sample(t))
		p := s.problem(t, answer, unverified("response_decryption_failed", 200))
		text := strings.Replace(string(answer.Body), p["id"].(string), "ID", 1)
		delete(answer.Header, "Date")
		for _, header := range slices.Sorted(maps.Keys(answer.Header)) {
			text += "\n" + header + ": " + strings.Join(answer.Header[header], ",")
		}
		if first == "" {
			first = text
		}
		assert.Equal(t, first, text, name)
	}

	// None of them says anything where the message is not the provider's.
	private := merchantKey(t).Signer
	var forged string
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		d.set(d.answering(func(c *testcaddy.Conn, _ []byte) { c.Answer(200, closing, signBizData(t, private, cases[name])) }))
		answer := s.post(sample(t))
		p := s.problem(t, answer, unverified("response_signature_invalid", 200))
		text := strings.Replace(string(answer.Body), p["id"].(string), "ID", 1)
		if forged == "" {
			forged = text
		}
		assert.Equal(t, forged, text, name)
	}
}
