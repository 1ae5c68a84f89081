package diagnosis_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/countersign/caddy-countersign/module/command/diagnosis"
	"github.com/countersign/caddy-countersign/module/i18n"
)

func TestCompareNamesTheCause(t *testing.T) {
	const base = "amt=1.00&msg=分账成功&no=20881234567890123456&url=https://a/b"
	gbk, err := simplifiedchinese.GBK.NewEncoder().String(base)
	require.NoError(t, err)
	read := func(text string, as interface{ String(string) (string, error) }) string {
		out, err := as.String(text)
		require.NoError(t, err)
		return out
	}
	replace := func(old, with string) string { return strings.Replace(base, old, with, 1) }

	for name, test := range map[string]struct {
		ours, theirs  string
		cause, member string
		words         string
	}{
		"order, theirs as it came":          {base, "url=https://a/b&amt=1.00&msg=分账成功&no=20881234567890123456", "order", "amt", "theirs is not sorted"},
		"order, case in theirs":             {"Zebra=1&apple=2", "apple=2&Zebra=1", "order", "Zebra", "theirs is sorted without regard to case"},
		"order, case in ours":               {"apple=2&Zebra=1", "Zebra=1&apple=2", "order", "apple", "theirs is sorted, upper case before lower case"},
		"empty value kept":                  {base, base + "&void=", "empty value kept", "void", "theirs keeps"},
		"empty value left out":              {base + "&void=", base, "empty value left out", "void", "theirs leaves it out"},
		"null as a text":                    {base, base + "&void=null", "empty value kept", "void", "null"},
		"number without its zeros":          {base, replace("1.00", "1"), "number re-formatted", "amt", "same number"},
		"number at the end of the string":   {"a=1&amt=1.00", "a=1&amt=1", "number re-formatted", "amt", "same number"},
		"number longer at the end":          {"a=1&amt=1", "a=1&amt=1.00", "number re-formatted", "amt", "same number"},
		"number with an exponent":           {replace("1.00", "1e2"), replace("1.00", "100"), "number re-formatted", "amt", "same number"},
		"number with thousands":             {replace("1.00", "1000"), replace("1.00", "1,000"), "number re-formatted", "amt", "same number"},
		"number through floating point":     {base, replace("20881234567890123456", "20881234567890125000"), "number re-formatted", "no", "floating point"},
		"fen against yuan":                  {base, replace("1.00", "100"), "number re-formatted", "amt", "theirs is a hundred times ours"},
		"yuan against fen":                  {replace("1.00", "100"), base, "number re-formatted", "amt", "ours is a hundred times theirs"},
		"escaped slash":                     {base, strings.ReplaceAll(base, "/", `\/`), `escape \/`, "url", "JSON text"},
		"escaped slash in ours":             {strings.ReplaceAll(base, "/", `\/`), base, `escape \/`, "url", "escaped twice"},
		"escaped Chinese":                   {base, replace("分账成功", `\u5206\u8d26\u6210\u529f`), `escape \u`, "msg", "JSON text"},
		"escaped emoji":                     {"a=🎉", `a=\ud83c\udf89`, `escape \u`, "a", "JSON text"},
		"escaped less-than":                 {"a=1<2", `a=1\u003c2`, `escape \u`, "a", "JSON text"},
		"HTML entity":                       {"a=1<2&b=3", "a=1&lt;2&b=3", "escape &lt; &amp;", "a", "web page"},
		"HTML separators":                   {"a=1&b=2", "a=1&amp;b=2", "escape &lt; &amp;", "b", "web page"},
		"shown by a web page":               {"a=1&notify=2&timestamp=3", "a=1¬ify=2×tamp=3", "web page", "a", "makes × of &times"},
		"HTML separators before timestamp":  {"a=1&timestamp=2", "a=1&amp;timestamp=2", "escape &lt; &amp;", "timestamp", "web page"},
		"escaped quotes":                    {`a={"b":"c"}`, `a={\"b\":\"c\"}`, `escape \"`, "a", "quotes"},
		"URL-encoded value":                 {base, replace("https://a/b", "https%3A%2F%2Fa%2Fb"), "URL-encoding", "url", "URL-encoded"},
		"URL-encoded body":                  {replace("https://a/b", "https%3A%2F%2Fa%2Fb"), base, "URL-encoding", "url", "theirs is decoded"},
		"plus became a space":               {"a=x+y==", "a=x y==", "URL-encoding", "a", "URL-decoded"},
		"quoted value":                      {"a=x&b=1", `a="x"&b=1`, "quotes", "a", "quotes"},
		"trailing newline":                  {base, base + "\n", "trailing newline", "", "their string ends"},
		"trailing CRLF":                     {base, base + "\r\n", "trailing newline", "", "their string ends"},
		"trailing space":                    {base, base + " ", "trailing space", "", "their string ends"},
		"trailing &":                        {base, base + "&", "trailing &", "", "their string ends"},
		"trailing & in ours":                {base + "&", base, "trailing &", "", "our string ends"},
		"secret after key=":                 {base + "&", base + "&key=supersecret", "appended secret", "", "not shown"},
		"secret appended raw":               {base, base + "supersecret", "appended secret", "", "not shown"},
		"byte order mark":                   {base, "\ufeff" + base, "byte order mark", "", "begins"},
		"leading &":                         {base, "&" + base, "leading characters", "", "begins"},
		"full-width digit":                  {base, replace("1.00", "１.00"), "full-width character", "amt", "theirs has"},
		"full-width letters in the body":    {"a=Ａｂ", "a=Ab", "full-width character", "a", "the body has"},
		"full-width space":                  {"a=x\u3000y", "a=x y", "full-width character", "a", "the body has"},
		"no-break space":                    {"a=x\u00a0y", "a=x y", "invisible character", "a", "the body has"},
		"zero-width space":                  {base, replace("1.00", "1.00\u200b"), "invisible character", "amt", "theirs has"},
		"mail wrapped the string":           {"a=QUJDREVG&b=1", "a=QUJD\r\nREVG&b=1", "line breaks", "a", "line breaks"},
		"GBK":                               {base, gbk, "charset", "msg", "GBK"},
		"mojibake by GBK":                   {base, read(base, simplifiedchinese.GBK.NewDecoder()), "charset", "msg", "read as GBK"},
		"mojibake by Latin-1":               {base, read(base, charmap.ISO8859_1.NewDecoder()), "charset", "msg", "ISO 8859-1"},
		"GBK read as Latin-1":               {base, read(gbk, charmap.Windows1252.NewDecoder()), "charset", "msg", "GBK that was read as Latin-1"},
		"mojibake in the body":              {read(base, simplifiedchinese.GBK.NewDecoder()), base, "charset", "msg", "the body is"},
		"question marks":                    {base, replace("分账成功", "????"), "charset", "msg", "question marks"},
		"missing in theirs":                 {base, replace("&no=20881234567890123456", ""), "missing member", "no", "their string lacks it"},
		"missing in ours":                   {replace("&no=20881234567890123456", ""), base, "missing member", "no", "the body lacks it"},
		"missing at the end":                {base, replace("&url=https://a/b", ""), "missing member", "url", "their string lacks it"},
		"zero counted as empty":             {"a=1&b=0&c=2", "a=1&c=2", "missing member", "b", "zero and false"},
		"list left out":                     {`a=1&b=[{"x":1}]&c=2`, "a=1&c=2", "missing member", "b", "lists and objects"},
		"they sign sign_type":               {"a=1&z=2", "a=1&sign_type=RSA&z=2", "missing member", "sign_type", "signature's own member"},
		"we sign sign_type":                 {"a=1&sign_type=RSA&z=2", "a=1&z=2", "missing member", "sign_type", "signature's own members"},
		"case of the value":                 {"a=abC&b=1", "a=ABC&b=1", "case", "a", "upper and lower case"},
		"case of the name":                  {"orgMercode=8311&z=1", "orgMerCode=8311&z=1", "case", "orgMercode", "name"},
		"trimmed":                           {"a= x &b=1", "a=x&b=1", "trimmed", "a", "theirs has trimmed it"},
		"not trimmed":                       {"a=x&b=1", "a= x &b=1", "trimmed", "a", "theirs keeps white space"},
		"boolean as PHP writes it":          {"a=true&b=1", "a=1&b=1", "boolean re-formatted", "a", "PHP"},
		"nested JSON with spaces":           {`a={"b":1,"c":"x"}&d=1`, `a={"b": 1, "c": "x"}&d=1`, "JSON re-written", "a", "same JSON"},
		"nested JSON in another order":      {`a={"b":1,"c":"x"}&d=1`, `a={"c":"x","b":1}&d=1`, "JSON re-written", "a", "same JSON"},
		"cut off":                           {"a=abcdefgh&b=1", "a=abcd&b=1", "cut off", "a", "beginning of the other"},
		"another name":                      {"orgId=8311&z=1", "orgNo=8311&z=1", "another name", "orgId", "same value"},
		"invisible character in a name":     {"\u200borgId=8311&z=1", "orgId=8311&z=1", "invisible character", `\u200borgId`, "the body has"},
		"another value":                     {"a=x&b=1", "a=y&b=1", "another value", "a", "different values"},
		"empty against a value":             {"a=x&b=1", "a=&b=1", "another value", "a", "theirs is empty"},
		"another message altogether":        {"a=x", "<html>", "missing member", "a", "lacks it"},
		"theirs is empty":                   {"a=x", "", "missing member", "a", "lacks it"},
		"a value that holds a separator":    {"a=x&y&b=1", "a=x&b=1", "cut off", "a", "separator"},
		"an order that another cause hides": {"a=1&b=2&c=3", "b=2&a=9&c=3", "another value", "a", "different values"},
	} {
		t.Run(name, func(t *testing.T) {
			d := diagnosis.Compare([]byte(test.ours), []byte(test.theirs))
			require.NotNil(t, d)
			assert.Equal(t, test.cause, d.Cause.Name.String())
			assert.Equal(t, test.member, d.Member)
			assert.Contains(t, d.Cause.Words.String(), test.words)
			assert.NotEmpty(t, d.Cause.Advice.String())
		})
	}
}

func TestCompareEqual(t *testing.T) {
	assert.Nil(t, diagnosis.Compare([]byte("a=1&b=2"), []byte("a=1&b=2")))
	assert.Nil(t, diagnosis.Compare(nil, []byte{}))
}

func TestCompareNamesWhatElseDiffers(t *testing.T) {
	d := diagnosis.Compare([]byte("amt=1.00&name=张三&note=x&z=1"), []byte("amt=1&name=张三&z=1&zz="))
	require.NotNil(t, d)
	assert.Equal(t, "number re-formatted", d.Cause.Name.String())
	assert.Equal(t, []string{"note (missing member)", "zz (empty value kept)"}, shown(d.Also))
}

// Names come from others: on a terminal they have no effect, and they end.
func TestCompareShowsNames(t *testing.T) {
	long := strings.Repeat("n", 900_000)
	for _, name := range []string{"\x1b[31m", "\x1b]0;x\a", "a\u202eb", long} {
		for _, texts := range [][2]string{
			{name + "=1", name + "=2"},
			{"a=1&" + name + "=2", "a=2&" + name + "=3"},
			{name + "=1&b=2", "b=2&" + name + "=1"},
			{"a=1&" + name + "=2", "a=1"},
			{"a=1", "a=1&" + name + "=2"},
		} {
			d := diagnosis.Compare([]byte(texts[0]), []byte(texts[1]))
			for _, shown := range append(shown(d.Also), d.Member) {
				assert.NotContains(t, shown, name)
				assert.Less(t, len(shown), 200)
			}
		}
	}
}

func TestCompareTellsWhereASecretMayBegin(t *testing.T) {
	for _, theirs := range []string{"a=1&key=supersecret", "a=1supersecret"} {
		d := diagnosis.Compare([]byte("a=1"), []byte(theirs))
		require.NotNil(t, d)
		assert.True(t, d.Cause.Secret, theirs)
		assert.Equal(t, 3, d.At)
	}
	d := diagnosis.Compare([]byte("a=1"), []byte("a=1&b=2"))
	assert.False(t, d.Cause.Secret)
}

func TestComparePartsAtACharacter(t *testing.T) {
	// The two characters have their first two bytes in common.
	d := diagnosis.Compare([]byte("a=\u5206"), []byte("a=\u5207"))
	require.NotNil(t, d)
	assert.Equal(t, 2, d.At)
}

func FuzzCompare(f *testing.F) {
	f.Add([]byte("a=1&b=2"), []byte("b=2&a=1"))
	f.Add([]byte("a=\xb7\xd6&"), []byte("a=&=&&=1"))
	f.Add([]byte(""), []byte("&key="))
	f.Fuzz(func(t *testing.T, ours, theirs []byte) {
		d := diagnosis.Compare(ours, theirs)
		if d == nil {
			assert.Equal(t, string(ours), string(theirs))
			return
		}
		assert.NotEmpty(t, d.Cause.Name.String())
		assert.LessOrEqual(t, d.At, min(len(ours), len(theirs)))
		assert.Equal(t, string(ours[:d.At]), string(theirs[:d.At]))
	})
}

func shown(others []diagnosis.Other) []string {
	var out []string
	for _, other := range others {
		out = append(out, other.In(i18n.English))
	}
	return out
}
