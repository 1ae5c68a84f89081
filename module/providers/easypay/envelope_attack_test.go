package easypay_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/providers/providertest"
	"github.com/countersign/caddy-countersign/module/scheme"
)

const key32 = "0123456789abcdefghijklmnopqrstuv"

// stubborn is a decrypter that returns a given result.
type stubborn struct {
	public *rsa.PublicKey
	plain  []byte
	err    error
}

func (s stubborn) Public() crypto.PublicKey { return s.public }

func (s stubborn) Decrypt(io.Reader, []byte, crypto.DecrypterOpts) ([]byte, error) {
	return s.plain, s.err
}

// receiver opens notifications that the provider has signed, whatever stands in
// their envelopes. A text that it opens is key32's.
type receiver struct {
	signer     providertest.Signer
	held       *keys.Set
	ciphertext string
}

func newReceiver(t testing.TB, prefix string) receiver {
	t.Helper()
	var settings []providertest.Setting
	if prefix != "" {
		settings = append(settings, providertest.Setting{"envelope_prefix", prefix})
	}
	return receiver{signer(t, settings...), providertest.Merchant(t, reference), providertest.Encrypt(t, []byte(key32), `[{"a":"1"}]`)}
}

func (r receiver) open(t testing.TB, private crypto.Decrypter, envelope string) (*providertest.Opened, error) {
	t.Helper()
	held := *r.held
	if private != nil {
		held.Decrypt = []*keys.PrivateKey{keys.NewPrivateKey(nil, private, private.Public(), "a test")}
	}
	text := `{"bizData":{"orderSubDetails":"` + r.ciphertext + `","dgtlEnvlp":"` + envelope + `"}}`
	signed := providertest.Parse(t, r.signer.JSON(t, message.Notification, text))
	return r.signer.Scheme.OpenNotification(providertest.Notification{Body: signed, Keys: &held})
}

// wrapped returns an envelope with a text in it, for the merchant.
func (r receiver) wrapped(t testing.TB, text string) string {
	t.Helper()
	return providertest.Wrap(t, r.held.Decrypt[0].Public, "", []byte(text))
}

// Whatever is wrong with an envelope, the error is one and the same: telling
// bad padding from a bad key is an oracle.
func TestUnwrapHasOneError(t *testing.T) {
	plain, prefixed := newReceiver(t, ""), newReceiver(t, "01|")
	opened, err := plain.open(t, nil, plain.wrapped(t, key32))
	require.NoError(t, err, "the genuine envelope, or this test would prove nothing")
	require.Contains(t, string(opened.Body), `[{"a":"1"}]`)
	_, err = prefixed.open(t, nil, prefixed.wrapped(t, "01|"+key32))
	require.NoError(t, err)

	public := plain.held.Decrypt[0].Public
	size := public.Size()
	raw := func(n int, b byte) string {
		return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(rune(b)), n)))
	}
	stranger, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	good := plain.wrapped(t, key32)
	for name, c := range map[string]struct {
		receiver receiver
		private  crypto.Decrypter
		envelope string
	}{
		"empty":                         {plain, nil, ""},
		"not Base64":                    {plain, nil, "&&&&"},
		"url-safe Base64":               {plain, nil, strings.NewReplacer("+", "-", "/", "_").Replace(good) + "-"},
		"too short":                     {plain, nil, raw(size-1, 0)},
		"too long":                      {plain, nil, raw(size+1, 0)},
		"zero":                          {plain, nil, raw(size, 0)},
		"over the modulus":              {plain, nil, base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\xff", size)))},
		"for another key":               {plain, nil, providertest.Wrap(t, &stranger.PublicKey, "", []byte(key32))},
		"31 characters":                 {plain, nil, plain.wrapped(t, key32[:31])},
		"33 characters":                 {plain, nil, plain.wrapped(t, key32+"x")},
		"no character":                  {plain, nil, plain.wrapped(t, "")},
		"a control character":           {plain, nil, plain.wrapped(t, key32[:31]+"\n")},
		"a blank":                       {plain, nil, plain.wrapped(t, key32[:31]+" ")},
		"DEL":                           {plain, nil, plain.wrapped(t, key32[:31]+"\x7f")},
		"not ASCII":                     {plain, nil, plain.wrapped(t, key32[:30]+"é")},
		"no prefix":                     {prefixed, nil, plain.wrapped(t, key32)},
		"another prefix":                {prefixed, nil, plain.wrapped(t, "02|"+key32)},
		"a prefix that is not asked":    {plain, nil, plain.wrapped(t, "01|"+key32)},
		"a key store that is not there": {plain, stubborn{public: public, err: errors.New("the key store is away")}, good},
		"a random key":                  {plain, stubborn{public: public, plain: make([]byte, 32)}, good},
	} {
		opened, err := c.receiver.open(t, c.private, c.envelope)
		assert.Nil(t, opened, name)
		assert.Equal(t, error(scheme.DecryptionFailed()), err, name)
	}
}

// OpenSSL 3.2 and later answer a wrong padding with random bytes of a random
// length (implicit rejection) where others have an error. They are no key: not
// even of the right length do they pass, but once in 10^14 times.
func TestUnwrapTakesNoRandomBytes(t *testing.T) {
	r := newReceiver(t, "")
	public := r.held.Decrypt[0].Public
	envelope := base64.StdEncoding.EncodeToString(make([]byte, public.Size()))
	for round := range 3000 {
		plain := make([]byte, 32)
		if round%2 == 0 {
			plain = make([]byte, round%118)
		}
		_, _ = rand.Read(plain)
		opened, err := r.open(t, stubborn{public: public, plain: plain}, envelope)
		require.Nil(t, opened)
		require.Equal(t, error(scheme.DecryptionFailed()), err)
	}
}

// Every printable character may stand in a key that a provider made, and Java's
// MIME encoder breaks lines.
func TestUnwrapTakesPrintableKeys(t *testing.T) {
	r := newReceiver(t, "")
	key := "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"[:32]
	r.ciphertext = providertest.Encrypt(t, []byte(key), `[{"a":"1"}]`)
	envelope := r.wrapped(t, key)
	for _, envelope := range []string{envelope, envelope[:76] + `\r\n` + envelope[76:]} {
		opened, err := r.open(t, nil, envelope)
		require.NoError(t, err)
		assert.Contains(t, string(opened.Body), `"orderSubDetails":[{"a":"1"}]`)
	}
}

// FuzzUnwrap looks for an envelope that is taken and should not be, and for
// errors that differ.
func FuzzUnwrap(f *testing.F) {
	f.Add([]byte(key32), false)
	f.Add([]byte("01|"+key32), true)
	f.Add([]byte("Ogw2XHRgRElQF1wIXYe3"), false)
	plain, prefixed := newReceiver(f, ""), newReceiver(f, "01|")
	f.Fuzz(func(t *testing.T, text []byte, prefix bool) {
		r, want := plain, ""
		if prefix {
			r, want = prefixed, "01|"
		}
		if len(text) > r.held.Decrypt[0].Public.Size()-11 {
			return
		}
		opened, err := r.open(t, nil, r.wrapped(t, string(text)))
		if err != nil {
			require.Nil(t, opened)
			require.Equal(t, error(scheme.DecryptionFailed()), err)
			return
		}
		key, ok := strings.CutPrefix(string(text), want)
		require.True(t, ok)
		require.Len(t, key, 32)
		require.NotContains(t, key, " ")
	})
}
