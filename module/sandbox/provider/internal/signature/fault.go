package signature

import "github.com/countersign/caddy-countersign/module/sandbox/provider/internal/wire"

// Another returns a value of the same type and nearly the same look that is
// certainly not the same: another order number, another amount. Null, an
// array and an object become a string.
func Another(v wire.Value) wire.Value {
	text := v.Text
	switch {
	case v.Kind == wire.Bool:
		return wire.Flag(text == "false")
	case v.Empty() || !v.Scalar():
		return wire.Str("another")
	}
	last := text[len(text)-1]
	if last < '0' || last > '9' {
		return wire.Str(text + "0")
	}
	// Only the last digit changes, so that a number stays a number.
	return wire.Value{Kind: v.Kind, Text: text[:len(text)-1] + string('0'+(last-'0'+1)%10)}
}

// Tamper changes the first of the named members that holds something. It is
// what happens to a message after it was signed, so that the names are those
// of signed members.
func Tamper(object wire.Value, names ...string) wire.Value {
	for _, name := range names {
		if member := object.Get(name); member.Scalar() && !member.Empty() {
			return object.With(name, Another(member))
		}
	}
	return object
}
