package guess

import (
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/algorithm"
)

// behind are the ways in which providers append the secret to the text, the most
// frequent first.
var behind = []string{
	"&key={secret}", "{secret}", "key={secret}", "&{secret}",
	"&secret={secret}", "&secretKey={secret}", "&secret_key={secret}", "&secretkey={secret}", "&appSecret={secret}", "&app_secret={secret}",
	"&appKey={secret}", "&appkey={secret}", "&app_key={secret}", "&Key={secret}", "&KEY={secret}", "&md5Key={secret}", "&md5key={secret}",
	"&sign_key={secret}", "&signKey={secret}", "&merKey={secret}", "&token={secret}", "&access_token={secret}", "&paySecret={secret}", "&apiKey={secret}",
	"secret={secret}", "|{secret}", ".{secret}", ",{secret}", `\n{secret}`,
	"&passphrase={secret}", "&password={secret}", "&salt={secret}", "&pwd={secret}", "&merchantKey={secret}", "&merchant_key={secret}", "&private_key={secret}", "&privateKey={secret}", "&securityKey={secret}",
}

// twice reports whether a text is of a kind that some providers digest twice.
func (t text) twice() bool { return t.sorted || slices.Equal(t.builder, []string{"{body}"}) }

// changes returns the steps that may follow a text: where the secret is inserted, and
// how the result is changed.
func (s *search) changes(t text, a algorithm.Algorithm, form string, effort int) [][][]string {
	endings := s.endings(t, effort)
	switch {
	case t.keyed:
		return after([][][]string{nil, {{"prepend", "{secret}"}}}, endings)
	case a.Kind() == algorithm.Digest && t.inner != nil:
		return nil // of the digest of a text and a secret, the frequent ones are in secretAt
	case a.Kind() == algorithm.Digest:
		all := after(s.secretAt(t), endings)
		if effort == thorough {
			for _, end := range behind[:4] { // the secret as it is, behind a text that is changed
				all = append(all, [][]string{{"lower"}, {"append", end}}, [][]string{{"upper"}, {"append", end}})
			}
		}
		return all
	case a.Kind() == algorithm.MAC:
		placements := [][][]string{nil}
		if t.sorted && form == "" {
			placements = append(placements, [][]string{{"append", "&key={secret}"}}, [][]string{{"append", "{secret}"}})
		}
		if t.between != "" && form == "" { // the secret as one more value
			placements = append(placements, [][]string{{"append", t.between + "{secret}"}})
		}
		return after(placements, endings)
	}
	if effort == plain && !t.sorted {
		return after([][][]string{nil}, endings)
	}
	return after([][][]string{nil}, append(endings, [][]string{{"sha256", "hex"}}, [][]string{{"sha1", "hex"}}, [][]string{{"md5", "hex"}}, [][]string{{"md5", "hex-upper"}}))
}

// secretAt returns the steps that insert the secret into a text.
func (s *search) secretAt(t text) [][][]string {
	var all [][][]string
	if len(s.set.Secrets("")) > 0 {
		for _, end := range behind {
			if end == "key={secret}" && slices.Contains(t.builder, "after") {
				continue // the same text as without "after" and with "&key={secret}"
			}
			all = append(all, [][]string{{"append", end}})
		}
		all = append(all, [][]string{{"prepend", "{secret}"}, {"append", "{secret}"}}, [][]string{{"prepend", "key={secret}&"}, {"append", "&key={secret}"}})
		for _, front := range []string{"{secret}", "key={secret}&", "{secret}&"} { // the rule of some providers, safe with the step only
			all = append(all, [][]string{{"prepend", front}, {"refuse", "extension"}})
		}
		if t.between != "" { // the secret as one more value
			all = append(all, [][]string{{"prepend", "{secret}" + t.between}, {"refuse", "extension"}})
			if end := t.between + "{secret}"; !slices.Contains(behind, end) {
				all = append(all, [][]string{{"append", end}})
			}
		}
		for _, digest := range [][]string{{"md5", "hex"}, {"md5", "hex-upper"}, {"sha1", "hex"}} {
			all = append(all, [][]string{digest, {"append", "{secret}"}})
			if t.between != "" {
				all = append(all, [][]string{digest, {"append", t.between + "{secret}"}})
			}
			if !t.twice() {
				continue
			}
			all = append(all, [][]string{digest, {"append", "&key={secret}"}}, [][]string{digest, {"append", "key={secret}"}})
			for _, end := range behind[:4] { // a digest of the digest
				all = append(all, [][]string{{"append", end}, digest})
			}
		}
	}
	names := s.namedSecrets()
	for _, a := range names {
		all = append(all, [][]string{{"append", "&key={secret." + a + "}"}}, [][]string{{"append", "{secret." + a + "}"}})
		for _, b := range names {
			if a != b {
				first, second := "{secret."+a+"}", "{secret."+b+"}"
				all = append(all, [][]string{{"prepend", first}, {"append", second}},
					[][]string{{"prepend", "HashKey=" + first + "&"}, {"append", "&HashIV=" + second}},
					[][]string{{"prepend", "HashIV=" + second + "&"}, {"append", "&HashKey=" + first}})
			}
		}
	}
	return all
}

// endings returns what may be done to the text with the secret in it.
func (s *search) endings(t text, effort int) [][][]string {
	all := [][][]string{nil}
	if t.escaped {
		return all
	}
	if len(s.namedSecrets()) > 1 {
		all = append(all, [][]string{{"url", "dotnet"}, {"lower"}})
	}
	if effort == plain {
		return all
	}
	all = append(all, [][]string{{"lower"}}, [][]string{{"upper"}})
	if t.sorted {
		for _, kind := range []string{"rfc3986", "form", "java", "dotnet"} {
			all = append(all, [][]string{{"url", kind}}, [][]string{{"url", kind}, {"lower"}})
		}
	}
	if slices.ContainsFunc(s.messages[0].Wire, func(b byte) bool { return b >= 0x80 }) || strings.Contains(string(s.messages[0].Wire), "%") {
		all = append(all, [][]string{{"charset", "gbk"}})
	}
	return all
}

// after returns all pairs of placements and endings.
func after(placements, endings [][][]string) [][][]string {
	var all [][][]string
	for _, ending := range endings {
		for _, placement := range placements {
			all = append(all, slices.Concat(placement, ending))
		}
	}
	return all
}
