package canonical

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/body"
)

// A text in which no name and no value holds a separator is not compared piece by
// piece; comparing them would find nothing.
func TestWhatIsNotCompared(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(all ...string) string { return all[random.IntN(len(all))] }
	value := func() string {
		parts := make([]string, random.IntN(4))
		for i := range parts {
			parts[i] = pick("a", "b", "&", "=", ";", "ab", "&a=", ";b=", "=a", "&b")
		}
		return string(body.AppendQuote(nil, strings.Join(parts, "")))
	}
	found, clean := 0, 0
	for range 20000 {
		var members []string
		for _, name := range []string{"a", "b", "a=", "b&", "ab"}[:2+random.IntN(4)] {
			members = append(members, string(body.AppendQuote(nil, name))+":"+pick(value(), value(), "["+value()+","+value()+"]", `{"a":`+value()+"}", "1"))
		}
		object, err := body.Parse([]byte("{" + strings.Join(members, ",") + "}"))
		require.NoError(t, err)
		s := Sorted{Nested: "recurse", Join: pick("&", ";", "&&"), Pair: pick("=", ":"), NoJoin: random.IntN(8) == 0, NoPair: random.IntN(8) == 0}
		if s.NoJoin {
			s.Join = ""
		}
		if s.NoPair {
			s.Pair = ""
		}
		text, err := s.Append(nil, object.Members())
		require.NoError(t, err)
		nodes, err := s.collector().members(object.Members())
		require.NoError(t, err)
		require.NoError(t, sortNodes(nodes, "", nil, nil))
		join, pair := separator(s.Join, "&", s.NoJoin), separator(s.Pair, "=", s.NoPair)
		want := ambiguous(appendPairs(nil, nodes, join, false), nil, join, pair)
		require.Equal(t, want, text.Ambiguous(), "%s %q %q", members, join, pair)
		if want != nil {
			found++
		} else if text.nodes == nil {
			clean++
		}
	}
	require.Greater(t, found, 1000)
	require.Greater(t, clean, 1000)
}
