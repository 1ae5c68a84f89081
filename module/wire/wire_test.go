package wire

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
)

type parser func([]byte, Options) ([]byte, error)

func members(t testing.TB, text string) []body.Member {
	t.Helper()
	o, err := body.Parse([]byte(text))
	require.NoError(t, err, text)
	return o.Members()
}

func TestParse(t *testing.T) {
	for name, c := range map[string]struct {
		parse      parser
		options    Options
		text, want string
	}{
		"form":                        {ParseForm, Options{}, "b=1&a=x+y%20%2B&c=", `{"b":"1","a":"x y +","c":""}`},
		"form, nothing":               {ParseForm, Options{}, "", `{}`},
		"form, a name alone":          {ParseForm, Options{}, "&a&&b=1&", `{"a":"","b":"1"}`},
		"form, a blank stays":         {ParseForm, Options{}, "a=x y", `{"a":"x y"}`},
		"form, = in a value":          {ParseForm, Options{}, "a=b=c==", `{"a":"b=c=="}`},
		"form, arrays":                {ParseForm, Options{}, "a[x]=1&a[y]=2&b.c=3", `{"a[x]":"1","a[y]":"2","b.c":"3"}`},
		"form, quotes":                {ParseForm, Options{}, `a="\%0a`, `{"a":"\"\\\n"}`},
		"form in GBK":                 {ParseForm, Options{Charset: "gbk"}, "a=%D6%D0&b=\xd6\xd0", `{"a":"中","b":"中"}`},
		"raw form":                    {ParseForm, Options{Raw: true}, "a=x+y%20=;&b={c=1}&c=", `{"a":"x+y%20=;","b":"{c=1}","c":""}`},
		"raw form, & in braces":       {ParseForm, Options{Raw: true}, "r={a=b&c=d}&s=[x&y]z&t=1{}&u=}", `{"r":"{a=b&c=d}","s":"[x&y]z","t":"1{}","u":"}"}`},
		"raw form, braces in braces":  {ParseForm, Options{Raw: true}, "r={[a={b&c=d]&e}&s={&]}", `{"r":"{[a={b&c=d]&e}","s":"{&]}"}`},
		"raw form, braces in a name":  {ParseForm, Options{Raw: true}, "{a=1&b}=2", `{"{a":"1","b}":"2"}`},
		"raw form that ends in &":     {ParseForm, Options{Raw: true}, "a=1&", `{"a":"1"}`},
		"raw form, nothing":           {ParseForm, Options{Raw: true}, "", `{}`},
		"XML":                         {ParseXML, Options{}, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<xml xmlns=\"urn:x\">\n <b>1</b><a><![CDATA[<x> ]]>&amp;&#65;</a><c/> </xml>\n", `{"b":"1","a":"<x> &A","c":""}`},
		"XML, blanks stay":            {ParseXML, Options{}, "<x><a> 1\n</a></x>", `{"a":" 1\n"}`},
		"XML, the root":               {ParseXML, Options{Root: "ap"}, "<ap></ap>", `{}`},
		"XML that says GBK":           {ParseXML, Options{Charset: "gbk"}, "<?xml version='1.0' encoding='GBK'?><x><a>\xd6\xd0</a></x>", `{"a":"中"}`},
		"XML in UTF-8 that says GBK":  {ParseXML, Options{}, "<?xml version='1.0' encoding='GBK'?><x><a>中</a></x>", `{"a":"中"}`},
		"XML in GB18030":              {ParseXML, Options{Charset: "gb18030"}, "<x><a>\x94\x39\xfc\x36</a></x>", `{"a":"😀"}`},
		"XML, a Chinese element":      {ParseXML, Options{}, "<x><金额>1</金额></x>", `{"金额":"1"}`},
		"XML, nearly the end of text": {ParseXML, Options{}, "<x><a>]]</a></x>", `{"a":"]]"}`},
		"text":                        {ParseText, Options{}, "OK \n", `{"text":"OK \n"}`},
		"text in GBK":                 {ParseText, Options{Charset: "gbk", Root: "answer"}, "\xd6\xd0", `{"answer":"中"}`},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, c.options.Check())
			got, err := c.parse([]byte(c.text), c.options)
			require.NoError(t, err)
			assert.Equal(t, c.want, string(got))
			_, err = body.Parse(got)
			assert.NoError(t, err)
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		parse   parser
		options Options
		text    string
		want    error
		says    string
	}{
		"form, twice":                {ParseForm, Options{}, "a=1&a=1", ErrDuplicate, "field a"},
		"form, twice, escaped":       {ParseForm, Options{}, "a=1&%61=SECRET", ErrDuplicate, "field a"},
		"form, PHP's array":          {ParseForm, Options{}, "a=1&a[]=", ErrDuplicate, "field a[]"},
		"form, PHP's dot":            {ParseForm, Options{}, "a_b=1&a.b=", ErrDuplicate, "field a.b"},
		"form, a blank in a name":    {ParseForm, Options{}, "+a=1", ErrSyntax, "field  a: "},
		"form, a NUL in a name":      {ParseForm, Options{}, "a%00=1", ErrSyntax, `field a\x00: `},
		"form, no name":              {ParseForm, Options{}, "=1", ErrSyntax, "no name"},
		"form, an escape":            {ParseForm, Options{}, "a=SECRET%zz", ErrSyntax, "field a is not well formed"},
		"form, a semicolon":          {ParseForm, Options{}, "a=1;b=2", ErrSyntax, "semicolon"},
		"form, too many fields":      {ParseForm, Options{}, strings.Repeat("m=&", 10001), ErrSyntax, "more than 10000 fields"},
		"form, too many of nothing":  {ParseForm, Options{}, strings.Repeat("&", 10001), ErrSyntax, "more than 10000 fields"},
		"form, GBK":                  {ParseForm, Options{}, "a=%D6%D0", ErrCharset, "field a is not UTF-8; it looks like GBK"},
		"form, nothing known":        {ParseForm, Options{}, "a=%FF", ErrCharset, "field a is not UTF-8: "},
		"form, not GBK":              {ParseForm, Options{Charset: "gbk"}, "a=%FF", ErrCharset, "not valid gbk"},
		"raw form, & in a value":     {ParseForm, Options{Raw: true}, "a=SECRET&SECRET&b=1", ErrSyntax, "without ="},
		"raw form, no closing brace": {ParseForm, Options{Raw: true}, "a={SECRET&b=1", ErrSyntax, "has no end"},
		"raw form, & behind braces":  {ParseForm, Options{Raw: true}, "a={x}&SECRET&b=1", ErrSyntax, "without ="},
		"raw form, an empty piece":   {ParseForm, Options{Raw: true}, "a=1&&b=1", ErrSyntax, "without ="},
		"XML, twice":                 {ParseXML, Options{}, "<x><a>1</a><a>1</a></x>", ErrDuplicate, "field a"},
		"XML, nested":                {ParseXML, Options{}, "<x><a><b>1</b></a></x>", ErrNested, "element a"},
		"XML, mixed":                 {ParseXML, Options{}, "<x>SECRET<a>1</a></x>", ErrSyntax, "text beside"},
		"XML, a comment in a value":  {ParseXML, Options{}, "<x><a>1<!-- SECRET -->2</a></x>", ErrSyntax, "comment"},
		"XML, a DTD":                 {ParseXML, Options{}, `<!DOCTYPE x [<!ENTITY e "SECRET">]><x><a>&e;</a></x>`, ErrSyntax, "DTD"},
		"XML, an entity":             {ParseXML, Options{}, `<x><a>&SECRET;</a></x>`, ErrSyntax, "near byte"},
		"XML, an instruction":        {ParseXML, Options{}, `<x><?php SECRET ?></x>`, ErrSyntax, "instruction"},
		"XML, a late declaration":    {ParseXML, Options{}, `<x></x><?xml version="1.0"?>`, ErrSyntax, "instruction"},
		"XML, attributes":            {ParseXML, Options{}, `<x><a b="SECRET">1</a></x>`, ErrSyntax, "element a"},
		"XML, a prefix":              {ParseXML, Options{}, `<x><p:a>1</p:a></x>`, ErrSyntax, "colon"},
		"XML, two roots":             {ParseXML, Options{}, `<x></x><x></x>`, ErrSyntax, "more behind"},
		"XML, the wrong root":        {ParseXML, Options{Root: "ap"}, `<x></x>`, ErrSyntax, "not ap"},
		"XML, cut":                   {ParseXML, Options{}, `<x><a>1</a>`, ErrSyntax, "early"},
		"XML, cut in a value":        {ParseXML, Options{}, `<x><a>SECRET`, ErrSyntax, ""},
		"XML, nothing":               {ParseXML, Options{}, ` `, ErrSyntax, "early"},
		"XML, other ends":            {ParseXML, Options{}, `<x><a>1</b></x>`, ErrSyntax, "ends"},
		"XML, an end":                {ParseXML, Options{}, `</x>`, ErrSyntax, ""},
		"XML, GBK":                   {ParseXML, Options{}, "<x><a>\xd6\xd0</a></x>", ErrCharset, "looks like GBK"},
		"XML, the end of CDATA":      {ParseXML, Options{}, "<x><a>]]></a></x>", ErrSyntax, "near byte"},
		"XML, a control character":   {ParseXML, Options{}, "<x><a>&#1;</a></x>", ErrSyntax, "near byte"},
		"JSON instead of XML":        {ParseXML, Options{}, `{"a":"SECRET"}`, ErrSyntax, "text beside"},
		"text, GBK":                  {ParseText, Options{}, "\xd6\xd0", ErrCharset, "looks like GBK"},
		"a name that is long, twice": {ParseForm, Options{}, strings.Repeat("n", 1000) + "=1&" + strings.Repeat("n", 1000) + "=", ErrDuplicate, "nnn…"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.parse([]byte(c.text), c.options)
			require.ErrorIs(t, err, c.want)
			assert.ErrorContains(t, err, c.says)
			assert.NotContains(t, err.Error(), "SECRET")
			assert.Less(t, len(err.Error()), 250)
		})
	}
}

type formatter func([]body.Member, Options) ([]byte, error)

func TestFormat(t *testing.T) {
	for name, c := range map[string]struct {
		format     formatter
		options    Options
		text, want string
	}{
		"form":                  {FormatForm, Options{}, `{"b":1.00,"a":"x y&=+中","c":"","d":null,"e":true}`, "b=1.00&a=x+y%26%3D%2B%E4%B8%AD&c=&e=true"},
		"form in GBK":           {FormatForm, Options{Charset: "gbk"}, `{"a":"中"}`, "a=%D6%D0"},
		"raw form":              {FormatForm, Options{Raw: true}, `{"b":"x=+ %","a":"中"}`, "b=x=+ %&a=中"},
		"raw form, & in braces": {FormatForm, Options{Raw: true}, `{"b":"{x=1&y=2}","a":"]"}`, "b={x=1&y=2}&a=]"},
		"XML":                   {FormatXML, Options{}, `{"b":1,"a":"<&>\r\n\"'","c":"","d":null}`, "<xml><b>1</b><a>&lt;&amp;&gt;&#13;\n&quot;&apos;</a><c></c></xml>"},
		"XML in CDATA":          {FormatXML, Options{CDATA: true, Root: "ap"}, `{"a":"<]]>","b":"\r"}`, "<ap><a><![CDATA[<]]]]><![CDATA[>]]></a><b>&#13;</b></ap>"},
		"XML in GBK":            {FormatXML, Options{Charset: "gbk"}, `{"a":"中"}`, "<?xml version=\"1.0\" encoding=\"GBK\"?><xml><a>\xd6\xd0</a></xml>"},
		"text":                  {FormatText, Options{}, `{"text":"a\nb"}`, "a\nb"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.format(members(t, c.text), c.options)
			require.NoError(t, err)
			assert.Equal(t, c.want, string(got))
		})
	}
}

func TestFormatRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		format  formatter
		options Options
		text    string
		want    error
	}{
		"form, nested":                      {FormatForm, Options{}, `{"a":{"b":"SECRET"}}`, ErrNested},
		"form, no GBK":                      {FormatForm, Options{Charset: "gbk"}, `{"a":"SECRET😀"}`, ErrCharset},
		"raw form, a separator in a value":  {FormatForm, Options{Raw: true}, `{"a":"SECRET&b=1"}`, ErrWrite},
		"raw form, an open brace":           {FormatForm, Options{Raw: true}, `{"a":"{SECRET"}`, ErrWrite},
		"raw form, & behind braces":         {FormatForm, Options{Raw: true}, `{"a":"{x}&SECRET=1"}`, ErrWrite},
		"raw form, a separator in a name":   {FormatForm, Options{Raw: true}, `{"a=":"SECRET"}`, ErrWrite},
		"XML, a list":                       {FormatXML, Options{}, `{"a":["SECRET"]}`, ErrNested},
		"XML, a name":                       {FormatXML, Options{}, `{"a b":"SECRET"}`, ErrWrite},
		"XML, a name that begins otherwise": {FormatXML, Options{}, `{"1a":"SECRET"}`, ErrWrite},
		"XML, a control character":          {FormatXML, Options{}, `{"a":"SECRET\u0001"}`, ErrWrite},
		"XML, a root":                       {FormatXML, Options{Root: "a b"}, `{}`, ErrWrite},
		"text, another member":              {FormatText, Options{}, `{"text":"a","b":"SECRET"}`, ErrWrite},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.format(members(t, c.text), c.options)
			require.ErrorIs(t, err, c.want)
			assert.NotContains(t, err.Error(), "SECRET")
		})
	}
	assert.Error(t, Options{Charset: "latin1"}.Check())
	assert.Error(t, Options{Root: "a b"}.Check())
}

// roundTrip checks that what was read is read again from what is written, and
// that what is read is an object of strings.
func roundTrip(t *testing.T, parse parser, format formatter, text []byte, o Options) {
	read, err := parse(text, o)
	if err != nil {
		require.Less(t, len(err.Error()), 1000)
		require.True(t, utf8.ValidString(err.Error()))
		return
	}
	var fields map[string]string
	require.NoError(t, json.Unmarshal(read, &fields), "%q", text)
	object, err := body.Parse(read)
	require.NoError(t, err, "%q", text)
	require.Len(t, object.Members(), len(fields))
	written, err := format(object.Members(), o)
	if err != nil { // a name that is read and never written, a separator
		require.ErrorIs(t, err, ErrWrite, "%q", text)
		return
	}
	again, err := parse(written, o)
	require.NoError(t, err, "%q", written)
	require.Equal(t, string(read), string(again))
}

var charsets = []string{"", "gbk", "gb18030"}

func FuzzForm(f *testing.F) {
	f.Add([]byte("a=1&b=x+y%20&c=&d"), uint8(0), false)
	f.Add([]byte("a=1=2&b={\"x\":1}"), uint8(0), true)
	f.Add([]byte("a=%D6%D0\x81\x30\x81\x30"), uint8(2), false)
	f.Fuzz(func(t *testing.T, text []byte, charset uint8, raw bool) {
		roundTrip(t, ParseForm, FormatForm, text, Options{Charset: charsets[int(charset)%len(charsets)], Raw: raw})
	})
}

func FuzzXML(f *testing.F) {
	f.Add([]byte("<xml><a>1</a><b><![CDATA[<]]>&amp;&#13;</b><c/></xml>"), uint8(0), true)
	f.Add([]byte("<?xml version='1.0' encoding='GBK'?><x>\r\n<a>\xd6\xd0\r</a></x>"), uint8(1), false)
	f.Fuzz(func(t *testing.T, text []byte, charset uint8, cdata bool) {
		roundTrip(t, ParseXML, FormatXML, text, Options{Charset: charsets[int(charset)%len(charsets)], CDATA: cdata})
	})
}

func FuzzFormat(f *testing.F) {
	f.Add("a", "x&=\r\n]]>", "b", "\u0001", false)
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string, cdata bool) {
		all := []body.Member{body.StringMember(name1, value1), body.StringMember(name2, value2)}
		want := newObject(0)
		if !utf8.ValidString(strings.Join([]string{name1, value1, name2, value2}, " ")) || want.add([]byte(name1), []byte(value1)) != nil || want.add([]byte(name2), []byte(value2)) != nil {
			return
		}
		for _, w := range []struct {
			format formatter
			parse  parser
			o      Options
			isXML  bool
		}{{FormatForm, ParseForm, Options{}, false}, {FormatForm, ParseForm, Options{Raw: true}, false}, {FormatXML, ParseXML, Options{CDATA: cdata}, true}} {
			written, err := w.format(all, w.o)
			if err != nil {
				continue
			}
			got, err := w.parse(written, w.o)
			if err != nil { // a name in a form that servers read differently
				require.False(t, w.isXML, "%q", written)
				continue
			}
			require.Equal(t, string(want.end()), string(got), "%q", written)
		}
	})
}

// What nobody signs is not dropped without a word. Namespaces say nothing.
func TestAttributesOfTheRootAreRefused(t *testing.T) {
	for _, text := range []string{`<x a="1"><b>1</b></x>`, `<x n:a="1"><b>1</b></x>`, `<x version="1.0"/>`} {
		_, err := ParseXML([]byte(text), Options{})
		require.ErrorIs(t, err, ErrSyntax, text)
		assert.ErrorContains(t, err, "element x has attributes", text)
	}
	for _, text := range []string{`<x xmlns="urn:a"><b>1</b></x>`, `<x xmlns:n="urn:a" xsi:schemaLocation="urn:b"><b>1</b></x>`} {
		_, err := ParseXML([]byte(text), Options{})
		assert.NoError(t, err, text)
	}
}

// Nothing signs the declaration: it cannot make an application that reads the XML as it
// came find other elements in it.
func TestTheEncodingThatXMLDeclares(t *testing.T) {
	for encoding, want := range map[string]bool{
		"UTF-8": true, "utf8": true, "GBK": true, "gb2312": true, "GB18030": true, "ISO-8859-1": true, "US-ASCII": true, "windows-1252": true, "Big5": true,
		"UTF-7": false, "utf-16": false, "UTF-16LE": false, "UTF-32": false, "ISO-10646-UCS-2": false, "HZ-GB-2312": false, "ISO-2022-CN": false, "IBM037": false,
	} {
		for _, o := range []Options{{}, {Nested: true}, {Charset: "gbk"}} {
			_, err := ParseXML([]byte(`<?xml version="1.0" encoding="`+encoding+`"?><x><a>+ADw-/a+AD4-</a></x>`), o)
			assert.Equal(t, want, err == nil, "%s: %v", encoding, err)
		}
	}
}
