package keys

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzParse looks for material that crashes, that is taken half, or that an
// error or a warning repeats.
func FuzzParse(f *testing.F) {
	public := block("PUBLIC KEY", pkix8(&one().PublicKey))
	private := block("PRIVATE KEY", pkcs8(one()))
	for _, damage := range damaged {
		f.Add([]byte(damage(public)), "verify")
		f.Add([]byte(damage(private)), "sign")
	}
	f.Add([]byte(public+block("CERTIFICATE", certificate(&one().PublicKey, one(), time.Time{}))), "verify@01")
	f.Add([]byte(bare(pkix8(&one().PublicKey))+"\n"+bare(pkix8(&two().PublicKey))), "encrypt")
	f.Add([]byte("old\r\nolder"), "verify_secret")
	f.Add([]byte(" secret=x\n"), "secret")
	f.Add([]byte("00FF\n"), "sign.serial")
	f.Fuzz(func(t *testing.T, text []byte, name string) {
		role, ok := ParseRole(name)
		if !ok {
			return
		}
		set, err := Parse("x", "v", Material{role: {Text: text, Origin: "here"}})
		if err != nil {
			require.Nil(t, set)
			require.ErrorIs(t, err, ErrBroken)
			return
		}
		switch plain, id := role.Split(); plain {
		case SharedSecret:
			secret := set.NamedSecret(id).Bytes()
			require.NotEmpty(t, secret)
			require.True(t, strings.HasPrefix(string(text), string(secret)), "nothing is removed but at the end")
		case VerifySecret:
			for _, s := range set.Secrets(id) {
				require.NotEmpty(t, s.Bytes(), "an empty secret is one that everybody knows")
			}
		case Verify, Encrypt, Sign, Decrypt:
			require.NoError(t, set.Need(role))
			require.NotEmpty(t, set.Kinds(role))
		}
	})
}

// FuzzDERs looks for a key that gets lost: every BEGIN becomes a block.
func FuzzDERs(f *testing.F) {
	public := block("PUBLIC KEY", pkix8(&one().PublicKey))
	for _, damage := range damaged {
		f.Add(damage(public + public))
	}
	f.Add("-----BEGIN EC PARAMETERS-----AAAA-----END PUBLIC KEY-----" + public)
	f.Add("-----BEGIN -----BEGIN w==-----END -----")
	f.Fuzz(func(t *testing.T, text string) {
		blocks, err := ders([]byte(text))
		if err != nil {
			return
		}
		require.NotEmpty(t, blocks)
		if n := strings.Count(text, pemBegin); n > 0 && !isDER([]byte(text)) && byteOrder([]byte(text)) == nil {
			require.Len(t, blocks, n-strings.Count(text, "PARAMETERS-----")/2)
		}
	})
}
