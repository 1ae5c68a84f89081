package canonical

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
)

func members(t testing.TB, text string) []body.Member {
	t.Helper()
	o, err := body.Parse([]byte(text))
	require.NoError(t, err, text)
	return o.Members()
}

func TestSorted(t *testing.T) {
	for name, c := range map[string]struct {
		sorted     Sorted
		text, want string
	}{
		"nothing":                     {Sorted{}, `{}`, ``},
		"names by UTF-16":             {Sorted{}, `{"～":1,"😀":2,"b":3,"B":4,"a":5}`, `B=4&a=5&b=3&😀=2&～=1`},
		"tokens and decoded strings":  {Sorted{}, `{"a":1.00,"b":20881234567890123456,"c":true,"d":"\/\u4e2d\n"}`, "a=1.00&b=20881234567890123456&c=true&d=/中\n"},
		"empty skip":                  {Sorted{}, `{"a":"","b":null,"c":0,"d":" ","e":false}`, `c=0&d= &e=false`},
		"empty keep":                  {Sorted{Empty: "keep"}, `{"a":"","b":null}`, `a=`},
		"empty keep, null empty":      {Sorted{Empty: "keep", Null: "empty"}, `{"a":"","b":null}`, `a=&b=`},
		"null empty":                  {Sorted{Null: "empty"}, `{"a":"","b":null,"c":1}`, `c=1`},
		"except":                      {Sorted{Except: []string{"sign", "x_*"}}, `{"sign":1,"x_":1,"x_a":1,"x":2,"Sign":3}`, `Sign=3&x=2`},
		"only":                        {Sorted{Only: []string{"b", "x_*"}}, `{"a":1,"b":2,"x_a":3}`, `b=2&x_a=3`},
		"only and except":             {Sorted{Only: []string{"x_*"}, Except: []string{"x_s"}}, `{"x_s":1,"x_a":3}`, `x_a=3`},
		"trim java":                   {Sorted{TrimJava: true}, `{"a":" x\t","b":" \u0000","c":"\u3000"}`, "a=x&c=\u3000"},
		"trim java, keep":             {Sorted{TrimJava: true, Empty: "keep"}, `{"b":" "}`, `b=`},
		"trim keeps line breaks in":   {Sorted{TrimJava: true}, `{"a":"x\n y"}`, "a=x\n y"},
		"numbers shortest":            {Sorted{Numbers: "shortest"}, `{"a":1.00,"b":0.10,"c":12345678901234567890,"d":1e30,"e":-2.50}`, `a=1&b=0.1&c=12345678901234567890&d=1e30&e=-2.5`},
		"nested skip":                 {Sorted{Nested: "skip"}, `{"a":[1],"b":{},"c":1}`, `c=1`},
		"nested empty":                {Sorted{Nested: "empty", Empty: "keep"}, `{"a":[1],"c":1}`, `a=&c=1`},
		"nested json":                 {Sorted{Nested: "json"}, `{"a":[ 1, "<\u003c" ],"b":{}}`, `a=[ 1, "<\u003c" ]&b={}`},
		"nested json plain":           {Sorted{Nested: "json", JSONPlain: true}, `{"a":{"b": "x\u003Cy\u003e\u0028\u0029\u0026\\u003c\\\u003c"}}`, `a={"b":"x<y>()\u0026\\u003c\\<"}`},
		"separators":                  {Sorted{Pair: ":", Join: "|"}, `{"b":1,"a":2}`, `a:2|b:1`},
		"no separators":               {Sorted{NoPair: true, NoJoin: true}, `{"b":1,"a":2}`, `a2b1`},
		"after":                       {Sorted{After: "&"}, `{"b":1,"a":2}`, `a=2&b=1&`},
		"name-fold":                   {Sorted{Order: "name-fold"}, `{"b":1,"A":2,"a0":3,"C":4,"a_":5,"ab":6}`, `A=2&a0=3&a_=5&ab=6&b=1&C=4`},
		"piece-fold":                  {Sorted{Order: "piece-fold", After: "&"}, `{"a":1,"a0":2,"Zebra":3,"apple":4}`, `a0=2&a=1&apple=4&Zebra=3&`},
		"recurse":                     {Sorted{Nested: "recurse"}, `{"b":[{"d":1,"c":2},{"c":3}],"a":{"z":1,"y":{"x":2}},"l":["p",["q"]]}`, `a=y=x=2&z=1&b=c=2&d=1&c=3&l=p&q`},
		"recurse, except everywhere":  {Sorted{Nested: "recurse", Except: []string{"sign"}}, `{"a":{"sign":1,"b":2},"sign":3,"l":[{"sign":1}]}`, `a=b=2&l=`},
		"recurse, only at the top":    {Sorted{Nested: "recurse", Only: []string{"a"}}, `{"a":{"b":2},"b":3}`, `a=b=2`},
		"recurse, empty elements":     {Sorted{Nested: "recurse"}, `{"l":["",null,"x",""],"m":[""]}`, `l=x&m=`},
		"recurse, elements kept":      {Sorted{Nested: "recurse", EmptyElements: "keep"}, `{"l":["","x",null],"m":""}`, `l=&x&`},
		"recurse, empty list":         {Sorted{Nested: "recurse"}, `{"a":[],"b":{},"c":[{"r":""}],"d":[[]]}`, `c=&d=`},
		"recurse, empty list kept":    {Sorted{Nested: "recurse", EmptyList: "keep"}, `{"a":[],"b":{}}`, `a=&b=`},
		"flat":                        {Sorted{Nested: "flat"}, `{"b":{"c":1,"a":[2,{"x":3}],"n":null},"a":4}`, `a=4&b.a.0=2&b.a.1.x=3&b.c=1`},
		"flat, only and except":       {Sorted{Nested: "flat", Only: []string{"b", "c.d"}, Except: []string{"b.c"}}, `{"b":{"c":{"e":1},"f":2},"c":{"d":3,"e":4},"d":5}`, `b.f=2&c.d=3`},
		"flat, empty list kept":       {Sorted{Nested: "flat", EmptyList: "keep"}, `{"b":{"c":{}}}`, `b.c=`},
		"listed":                      {Sorted{ListedBy: "l"}, `{"l":"b,a,zz","a":1,"b":2,"c":3}`, `a=1&b=2`},
		"listed, the list among them": {Sorted{ListedBy: "l", Order: "listed", Join: ","}, `{"l":"b:l:a","a":1,"b":2,"c":3}`, `b=2,l=b:l:a,a=1`},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, c.sorted.Check())
			got, err := c.sorted.Append([]byte("> "), members(t, c.text))
			require.NoError(t, err)
			assert.Equal(t, "> "+c.want, string(got.Bytes))
		})
	}
}

func TestSortedRefuses(t *testing.T) {
	long := `{"` + strings.Repeat("n", 1<<12) + `":{"a":1` + strings.Repeat(`,"b":{"c":{"d":{"e":{}}}}`, 1) + `}}`
	for name, c := range map[string]struct {
		sorted Sorted
		text   string
		want   error
		says   string
	}{
		"an object":         {Sorted{}, `{"a\u001b":{}}`, ErrNested, `member a\x1b: `},
		"a list":            {Sorted{Nested: "refuse"}, `{"` + strings.Repeat("x", 100) + `":[]}`, ErrNested, "member " + strings.Repeat("x", 64) + "…: "},
		"true":              {Sorted{Booleans: "refuse"}, `{"a":true}`, ErrBoolean, "member a: "},
		"false below":       {Sorted{Booleans: "refuse", Nested: "recurse"}, `{"a":[{"b":false}]}`, ErrBoolean, "member b: "},
		"twins":             {Sorted{Order: "name-fold"}, `{"a":1,"A":2}`, ErrEqualFold, "member A: "},
		"twins of pieces":   {Sorted{Order: "piece-fold"}, `{"a":"x","A":"X"}`, ErrEqualFold, "member A: "},
		"one name, flat":    {Sorted{Nested: "flat"}, `{"a":{"b":1},"a.b":2}`, ErrEqualFold, "member a.b: "},
		"no list":           {Sorted{ListedBy: "l"}, `{"a":1}`, ErrNoList, "member l: "},
		"a list of one two": {Sorted{ListedBy: "l"}, `{"l":"a,a","a":1}`, ErrNoList, "member l: "},
		"flat, too long":    {Sorted{Nested: "flat"}, strings.Replace(long, `"a":1`, `"a":1`+manyMembers(200), 1), ErrTooLong, "member nnn"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.sorted.Append(nil, members(t, c.text))
			assert.ErrorIs(t, err, c.want)
			assert.ErrorContains(t, err, c.says)
			assert.Less(t, len(err.Error()), 250)
		})
	}
}

func manyMembers(n int) string {
	var s strings.Builder
	for i := range n {
		s.WriteString(`,"x` + strings.Repeat("i", i) + `":1`)
	}
	return s.String()
}

func TestSortedRefusesOneNameTwice(t *testing.T) {
	_, err := new(Sorted).Append(nil, []body.Member{body.StringMember("a", "1"), body.StringMember("a", "2")})
	assert.ErrorIs(t, err, ErrEqualFold)
}

func TestSortedOfStrings(t *testing.T) {
	got, err := new(Sorted).Append(nil, []body.Member{body.StringMember("b", "x y"), body.StringMember("c", ""), body.StringMember("a", "\xff")})
	require.NoError(t, err)
	assert.Equal(t, "a=\xff&b=x y", string(got.Bytes))
}

func TestSortedAmbiguous(t *testing.T) {
	recurse := Sorted{Nested: "recurse"}
	for name, c := range map[string]struct {
		sorted Sorted
		text   string
		is     bool
	}{
		"another's name":               {Sorted{}, `{"ext":"x&amount=9","amount":1}`, true},
		"no member's":                  {Sorted{}, `{"url":"https://a/?b=1&c=2","amount":1}`, false},
		"of a member left out":         {Sorted{Except: []string{"amount"}}, `{"ext":"x&amount=9","amount":1}`, false},
		"other separators":             {Sorted{Pair: ":", Join: "|"}, `{"ext":"x|amount:9","amount":1}`, true},
		"not these separators":         {Sorted{Pair: ":", Join: "|"}, `{"ext":"x&amount=9","amount":1}`, false},
		"after":                        {Sorted{After: "|"}, `{"ext":"x|amount=9","amount":1}`, true},
		"in nested JSON":               {Sorted{Nested: "json"}, `{"ext":{"a":"&amount=9"},"amount":1}`, true},
		"no join":                      {Sorted{NoJoin: true}, `{"ext":"xamount=9","amount":1}`, true},
		"no join, a longer name":       {Sorted{NoJoin: true}, `{"ext":"mount=9","amount":1}`, false},
		"no pair":                      {Sorted{NoPair: true}, `{"ext":"x&amount9","amount":1}`, true},
		"no pair, another name":        {Sorted{NoPair: true}, `{"ext":"x&amoun9","amount":1}`, false},
		"neither":                      {Sorted{NoPair: true, NoJoin: true}, `{"ext":"amount","amount":1}`, false},
		"a name with a separator":      {Sorted{Pair: ":"}, `{"a:b":1}`, true},
		"recurse, a name below":        {recurse, `{"ext":"x&amount=9","d":{"amount":1}}`, true},
		"recurse, an element":          {recurse, `{"l":["x","amount=9"],"amount":1}`, true},
		"recurse, the first element":   {recurse, `{"l":["amount=9"],"amount":1}`, false},
		"recurse, first but for empty": {recurse, `{"l":["","amount=9"],"amount":1}`, false},
		"recurse, kept empty elements": {Sorted{Nested: "recurse", EmptyElements: "keep"}, `{"l":["","amount=9"],"amount":1}`, true},
		"recurse, a list in a list":    {recurse, `{"l":["x",["amount=9"]],"amount":1}`, true},
	} {
		got, err := c.sorted.Append(nil, members(t, c.text))
		require.NoError(t, err, name)
		if c.is {
			assert.ErrorIs(t, got.Ambiguous(), ErrAmbiguous, name)
		} else {
			assert.NoError(t, got.Ambiguous(), name)
		}
	}
}

func TestSortedCovers(t *testing.T) {
	s := Sorted{Except: []string{"sign", "x_*"}}
	assert.True(t, s.Covers("a"))
	assert.False(t, s.Covers("sign"))
	assert.False(t, s.Covers("x_1"))
	s = Sorted{Only: []string{"a"}}
	assert.True(t, s.Covers("a"))
	assert.False(t, s.Covers("b"))
	assert.False(t, (&Sorted{ListedBy: "l"}).Covers("a"))
}

// What is left out at a level is covered at none below it.
func TestSortedCoversWhatIsNested(t *testing.T) {
	for _, c := range []struct {
		nested, path string
		want         bool
	}{
		{"", "a.b", false}, {"skip", "a.b", false}, {"json", "a.sign", true}, {"json", "sign.a", false},
		{"recurse", "a.b", true}, {"recurse", "a.sign", false}, {"recurse", "a.0.sign", false}, {"recurse", "a.sign.b", false},
		{"recurse", "a.*.b", true}, {"recurse", "a.*", false}, {"recurse", "*.b", false}, {"recurse", "a.x_1", false},
		{"flat", "a.b", true}, {"flat", "a.sign", true}, {"flat", "p.q", false}, {"flat", "p.q.r", false}, {"flat", "p.r", true}, {"flat", "a.*", false},
	} {
		s := Sorted{Except: []string{"sign", "x_*", "p.q"}, Nested: c.nested}
		path, err := body.ParsePath(c.path)
		require.NoError(t, err)
		assert.Equal(t, c.want, s.Covers(path...), "%s %s", c.nested, c.path)
	}
	assert.True(t, (&Sorted{Nested: "recurse"}).Covers("a", body.Any))
	assert.False(t, (&Values{Names: []string{"a"}}).Covers("a", "b"))
	assert.True(t, (&Values{Mode: "named", Names: []string{"a"}, Nested: "recurse"}).Covers("a", "b"))
}

func TestSortedCheck(t *testing.T) {
	for _, s := range []Sorted{
		{Empty: "maybe"}, {Null: "keep"}, {Nested: "x"}, {Order: "x"}, {Booleans: "x"}, {Numbers: "x"}, {EmptyList: "x"}, {EmptyElements: "x"},
		{JSONPlain: true}, {After: "&", Join: "&"}, {ListedBy: "l", Only: []string{"a"}}, {Order: "listed"}, {Order: "piece-fold", Nested: "recurse"},
	} {
		assert.Error(t, s.Check(), "%+v", s)
	}
}

func TestValues(t *testing.T) {
	for name, c := range map[string]struct {
		values     Values
		text, want string
		ambiguous  bool
	}{
		"sorted":             {Values{Mode: "sorted", Join: "|"}, `{"b":"1","a":2,"c":"","d":null}`, `2|1`, false},
		"by-value":           {Values{Mode: "by-value"}, `{"b":"z","a":"y","c":10}`, `10yz`, false},
		"named":              {Values{Mode: "named", Names: []string{"b", "x", "a"}, Join: "|", Empty: "keep"}, `{"a":1,"b":2}`, `2||1`, false},
		"named, empty skip":  {Values{Mode: "named", Names: []string{"b", "x", "a"}, Join: "|"}, `{"a":1,"b":2}`, `2|1`, false},
		"named, nested":      {Values{Mode: "named", Names: []string{"l", "a"}, Join: ";", Nested: "recurse"}, `{"a":{"y":1,"x":2},"l":["p","q"]}`, `p;q;1;2`, false},
		"listed":             {Values{Mode: "named", ListedBy: "l"}, `{"l":"b:a","a":1,"b":2}`, `21`, false},
		"sorted, nested":     {Values{Nested: "recurse", Join: " ", Except: []string{"s"}}, `{"a":{"y":1,"x":2},"s":0}`, `2 1`, false},
		"a value holds join": {Values{Join: "|"}, `{"a":"x|y","b":"z"}`, `x|y|z`, true},
		"one value":          {Values{Join: "|"}, `{"a":"x|y"}`, `x|y`, false},
		"only":               {Values{Only: []string{"v_*"}, Join: "+", Empty: "keep"}, `{"v_b":"","v_a":1,"x":2}`, `1+`, false},
	} {
		require.NoError(t, c.values.Check(), name)
		got, err := c.values.Append([]byte("> "), members(t, c.text))
		require.NoError(t, err, name)
		assert.Equal(t, "> "+c.want, string(got.Bytes), name)
		assert.Equal(t, c.ambiguous, got.Ambiguous() != nil, name)
	}
	_, err := new(Values).Append(nil, members(t, `{"a":{}}`))
	assert.ErrorIs(t, err, ErrNested)
	for _, v := range []Values{{Mode: "x"}, {Mode: "named"}, {Names: []string{"a"}}, {Nested: "flat"}, {Mode: "named", Names: []string{"a"}, Except: []string{"b"}}} {
		assert.Error(t, v.Check(), "%+v", v)
	}
}

func TestJSON(t *testing.T) {
	const text = `{ "b": {"z": [1, {"d":1.00,"c":"\u003c<\/"}], "y":null}, "a" : "x", "sign":"s" }`
	for want, j := range map[string]JSON{
		`{"b":{"z":[1,{"d":1.00,"c":"\u003c<\/"}],"y":null},"a":"x","sign":"s"}`:           {},
		`{"b":{"z":[1,{"d":1.00,"c":"\u003c<\/"}],"y":null},"a":"x"}`:                      {Mode: "as-is", Except: []string{"s*"}},
		`{"a":"x","b":{"z":[1,{"d":1.00,"c":"\u003c<\/"}],"y":null},"sign":"s"}`:           {Mode: "sorted"},
		`{"a":"x","b":{"y":null,"z":[1,{"c":"\u003c<\/","d":1.00}]},"sign":"s"}`:           {Mode: "deep"},
		`{"b":{"z":[1,{"d":1.00,"c":"\u003c<\/"}],"y":null},"a":"q\"","sign":"s","k":"t"}`: {With: []With{{"a", `q"`}, {"k", "t"}}},
	} {
		require.NoError(t, j.Check())
		got, err := j.Append([]byte(`> `), members(t, text))
		require.NoError(t, err)
		assert.Equal(t, "> "+want, string(got.Bytes))
	}
	assert.Error(t, (&JSON{Mode: "x"}).Check())
	got, err := new(JSON).Append(nil, nil)
	require.NoError(t, err)
	assert.Equal(t, "{}", string(got.Bytes))
}

func TestChanges(t *testing.T) {
	const text = "Az09 -_.~!*'()/中&="
	for mode, want := range map[string]string{
		"":        "Az09%20-_.~%21%2A%27%28%29%2F%E4%B8%AD%26%3D",
		"rfc3986": "Az09%20-_.~%21%2A%27%28%29%2F%E4%B8%AD%26%3D",
		"form":    "Az09+-_.~%21%2A%27%28%29%2F%E4%B8%AD%26%3D",
		"java":    "Az09+-_.%7E%21*%27%28%29%2F%E4%B8%AD%26%3D",
		"dotnet":  "Az09+-_.%7e!*%27()%2f%e4%b8%ad%26%3d",
	} {
		change, err := URL(mode)
		require.NoError(t, err)
		got, err := change([]byte(text))
		require.NoError(t, err)
		assert.Equal(t, want, string(got), mode)
	}
	gbk, err := Charset("gbk")
	require.NoError(t, err)
	got, err := gbk([]byte("中a"))
	require.NoError(t, err)
	assert.Equal(t, "\xd6\xd0a", string(got))
	_, err = gbk([]byte("\U0001f600"))
	assert.ErrorContains(t, err, "gbk does not have")
	for name, c := range map[string]struct {
		change     Change
		text, want string
	}{
		"lower":     {Lower, "AÉ中Z", "aé中z"},
		"upper":     {Upper, "aé中z", "AÉ中Z"},
		"lower gbk": {Lower, "A\xd6\xd0Z", "a\xd6\xd0z"},
		"upper gbk": {Upper, "a\xd6\xd0z", "A\xd6\xd0Z"},
		"strip":     {StripSpace, " a\tb\r\nc\u00a0", "abc\u00a0"},
	} {
		got, err := c.change([]byte(c.text))
		require.NoError(t, err)
		assert.Equal(t, c.want, string(got), name)
	}
	_, err = URL("x")
	assert.Error(t, err)
	_, err = Charset("x")
	assert.Error(t, err)
}

func TestStringMember(t *testing.T) {
	m := body.StringMember("n", "a\"\xff")
	assert.Equal(t, body.String, m.Kind())
	assert.Equal(t, "a\"\xff", string(m.Text()))
	assert.True(t, bytes.Equal([]byte("\"a\\\"\ufffd\""), m.Raw()))
	assert.True(t, body.StringMember("", "").IsEmpty())
}
