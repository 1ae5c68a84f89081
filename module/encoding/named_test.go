package encoding

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// base64-any reads both alphabets, and one text in one of them.
func TestAnyBase64(t *testing.T) {
	e, err := Named("base64-any")
	require.NoError(t, err)
	assert.Equal(t, "-_-_AA", e.Encode([]byte("\xfb\xff\xbf\x00")))
	for _, text := range []string{"-_-_AA", "-_-_AA==", "+/+/AA=="} {
		got, err := e.Decode([]byte(text))
		require.NoError(t, err, text)
		assert.Equal(t, "\xfb\xff\xbf\x00", string(got))
	}
	for _, text := range []string{"-_+/AA==", "+/+/AA", "-_-_AB==", "+/+/AB==", "-_-_ AA"} {
		_, err := e.Decode([]byte(text))
		assert.Error(t, err, text)
	}
}

func TestNamed(t *testing.T) {
	data := []byte{0xfb, 0xff, 0xbf, 0xab}
	for name, c := range map[string]struct {
		want      string
		good, bad []string
	}{
		"hex":       {"fbffbfab", []string{"FBFFBFAB", "fbFFbfab"}, []string{"fbffbfa", "fbffbfab\n", " fbffbfab", "0xfbffbfab"}},
		"hex-upper": {"FBFFBFAB", []string{"fbffbfab", "fbFFbfab"}, []string{"fbffbfa", "FBFFBFAB\n"}},
		"base64": {"+/+/qw==", []string{"+/+/\r\nqw==\n", "+/+/qw=\n="},
			[]string{"-_-_qw==", "+/+/qw", "+/+/qx==", "+/+/ qw==", "+/+/qw=", "+/+/qw===", "+/+/qw==AAAA"}},
		"base64url": {"-_-_qw", []string{"-_-_qw=="},
			[]string{"+/+/qw==", "-_-_qw=", "-_-_qw===", "-_-_qx", "-_-_qx==", "-_-_\nqw", "-_-_qw==\n", "\r-_-_qw", "-_-_ qw", "-_-_qw%3D%3D"}},
		"base64-percent": {"%2B%2F%2B%2Fqw%3D%3D", []string{"%2b%2f%2B%2Fqw%3d%3D"},
			[]string{"+/+/qw==", "%2B%2F%2B%2Fqw", "%2B%2F%2B%2Fqx%3D%3D", "%2B%2F%2B%2Fqw%3D%3", "%2B%2F%2B%2F%71w%3D%3D"}},
	} {
		e, err := Named(name)
		require.NoError(t, err)
		assert.Equal(t, name, e.Name())
		assert.Equal(t, c.want, e.Encode(data))
		for _, text := range append(c.good, c.want) {
			got, err := e.Decode([]byte(text))
			require.NoError(t, err, "%s %q", name, text)
			assert.Equal(t, data, got)
		}
		for _, text := range c.bad {
			got, err := e.Decode([]byte(text))
			assert.Error(t, err, "%s %q", name, text)
			assert.Nil(t, got)
		}
		empty, err := e.Decode(nil)
		require.NoError(t, err)
		assert.Empty(t, empty)
	}
	_, err := Named("base32")
	assert.EqualError(t, err, `unknown encoding "base32": write one of hex, hex-upper, base64, base64url, base64-percent, base64-any`)
}

// One byte string has one text, but for padding, line breaks and case.
func FuzzNamed(f *testing.F) {
	for _, seed := range []string{"", "-_-_qw", "-_-_qw==", "-_-_qx", "QQ\n", "aF", "=", "====", "QQ==QQ=="} {
		f.Add(seed)
	}
	url, err := Named("base64url")
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, text string) {
		out, err := url.Decode([]byte(text))
		if err != nil {
			require.Nil(t, out)
			require.Equal(t, ErrBase64URL, err)
			return
		}
		padding := "=="[:(3-len(out)%3)%3]
		require.Contains(t, []string{url.Encode(out), url.Encode(out) + padding}, text)
	})
}
