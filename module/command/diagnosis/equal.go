package diagnosis

import (
	"bytes"
	"slices"

	"github.com/countersign/caddy-countersign/module/message"
)

// WouldEqual returns the smallest sets of settings with which our canonical string
// of a message would be theirs.
func WouldEqual(r Recipe, m *message.Message, theirs []byte) []Variation {
	var found []Variation
	tried := tries(r)
	for _, settings := range combinations(tried) {
		v := Variation{Settings: settings}
		if v.size() == 0 || slices.ContainsFunc(found, func(smaller Variation) bool { return smaller.covers(v) }) {
			continue
		}
		s, err := r.Configure(settings...)
		if err != nil {
			continue
		}
		if ours, err := Canonical(s, m); err == nil && bytes.Equal(ours, theirs) {
			found = append(found, v)
		}
	}
	return found
}
