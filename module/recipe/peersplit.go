package recipe

import (
	"slices"
	"strings"
)

// undoStages does what the other side undoes before it verifies, from the last line
// to the first.
func (o *outgoing) undoStages() error {
	for _, at := range slices.Backward(o.block.stages) {
		switch {
		case at.encryption != nil:
			if err := o.encryptAll([]*encryption{at.encryption}); err != nil {
				return err
			}
		case at.split.isBody():
			payload, err := o.payload()
			if err != nil {
				return err
			}
			o.whole = []byte(o.join(at.split, string(payload)))
		}
	}
	return o.joinAll()
}

// joinAll writes the places that are made of parts, except those whose signature is not
// made yet.
func (o *outgoing) joinAll() error {
	for _, s := range slices.Backward(o.block.splits()) {
		if o.awaits(s) {
			continue
		}
		if err := o.place(s.source, o.join(s, "")); err != nil {
			return err
		}
	}
	return nil
}

// awaits reports whether one of the parts is a signature that is not made yet, or is
// itself made of such parts.
func (o *outgoing) awaits(s *split) bool {
	return slices.ContainsFunc(s.parts, func(p cutPart) bool {
		return p.name != "" && o.m.Parts[p.name] == "" && o.fault != Unsigned && o.isPlace(partKind, p.name)
	})
}

// join returns a text made of parts. A part without a value gets a generated one.
func (o *outgoing) join(s *split, whole string) string {
	pieces := make([]string, len(s.parts))
	for i, p := range s.parts {
		switch {
		case p.body:
			pieces[i] = whole
		case p.name == "":
			pieces[i] = p.literal
		default:
			if o.m.Parts[p.name] == "" && !p.optional && !o.isPlace(partKind, p.name) {
				o.m.Parts[p.name] = nonceOf(8)
			}
			pieces[i] = o.m.Parts[p.name]
		}
	}
	return strings.Join(pieces, s.separator)
}

// isJoined reports whether a header is made of parts.
func (o *outgoing) isJoined(name string) bool {
	return slices.ContainsFunc(o.block.splits(), func(s *split) bool {
		return s.source.kind == "header" && strings.EqualFold(s.source.name, name)
	})
}
