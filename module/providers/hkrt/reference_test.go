package hkrt_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/providers/providertest"
)

// ruleOf returns the rule as its table has it, on decoded values and with no
// thought for cost.
func ruleOf(value any, keepEmpty bool) (text string, out bool) {
	var pieces []string
	switch v := value.(type) {
	case nil:
		return "", true
	case string:
		return v, v == ""
	case json.Number:
		return v.String(), false
	case []any:
		for _, element := range v {
			if text, out := ruleOf(element, keepEmpty); !out {
				pieces = append(pieces, text)
			}
		}
		return strings.Join(pieces, "&"), len(v) == 0 && !keepEmpty
	case map[string]any:
		names := make([]string, 0, len(v))
		for name := range v {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			if text, out := ruleOf(v[name], keepEmpty); !out && name != "sign" {
				pieces = append(pieces, name+"="+text)
			}
		}
		return strings.Join(pieces, "&"), len(v) == 0 && !keepEmpty
	}
	panic("unknown")
}

func draw(t *rapid.T, depth int) any {
	switch kind := rapid.IntRange(0, 6).Draw(t, "kind"); {
	case kind == 0:
		return nil
	case kind == 1:
		return json.Number(rapid.SampledFrom([]string{"0", "1.10", "1e22", "20881234567890123456"}).Draw(t, "number"))
	case kind == 2 && depth > 0:
		list := make([]any, rapid.IntRange(0, 4).Draw(t, "elements"))
		for i := range list {
			list[i] = draw(t, depth-1)
		}
		return list
	case kind == 3 && depth > 0:
		return drawObject(t, depth-1)
	default:
		return rapid.SampledFrom([]string{"", "x", "a=1", "&b=2", "中文", " ", "0"}).Draw(t, "string")
	}
}

func drawObject(t *rapid.T, depth int) map[string]any {
	object := make(map[string]any)
	for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "B", "amt", "sign", "中", "a=", "z0", ""}), 0, 5, rapid.ID).Draw(t, "names") {
		object[name] = draw(t, depth)
	}
	return object
}

func TestTheRuleAsItIsWritten(t *testing.T) {
	for _, option := range []string{"skip", "keep"} {
		s := providertest.Configure(t, "hkrt", providertest.Setting{"empty_list", option})
		rapid.Check(t, func(t *rapid.T) {
			object := drawObject(t, 4)
			var text bytes.Buffer
			encoder := json.NewEncoder(&text)
			encoder.SetEscapeHTML(rapid.Bool().Draw(t, "escaped"))
			require.NoError(t, encoder.Encode(object))
			o, err := body.Parse(text.Bytes())
			require.NoError(t, err)
			want, _ := ruleOf(object, option == "keep")
			for _, kind := range []message.Kind{message.Request, message.Answer} {
				got, err := s.Canonical(providertest.Wire{Kind: kind, Body: o})
				require.NoError(t, err)
				require.Equal(t, want, string(got), "%s", text.Bytes())
			}
		})
	}
}
