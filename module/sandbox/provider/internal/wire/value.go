// Package wire reads and writes the JSON of the sandbox providers: strictly,
// in order, and with numbers as the tokens that stand in the text.
package wire

// Kind is the JSON type of a value. The zero Kind is null.
type Kind int

// The JSON types.
const (
	Null Kind = iota
	Bool
	Number
	String
	Array
	Object
)

// Value is a JSON value, read from a text or built for one.
type Value struct {
	Kind Kind
	// Text is the decoded text of a string, the token of a number, true or
	// false. Other values have none.
	Text string
	// Raw is the text that the value had when it was read. A value that was
	// built has none until it is encoded.
	Raw string
	// Members are those of an object, in their order.
	Members []Member
	// Items are those of an array.
	Items []Value
}

// Member is a member of an object.
type Member struct {
	Name  string
	Value Value
}

// Str returns a string.
func Str(text string) Value { return Value{Kind: String, Text: text} }

// Num returns the number that the token spells.
func Num(token string) Value { return Value{Kind: Number, Text: token} }

// Flag returns a boolean.
func Flag(b bool) Value {
	if b {
		return Value{Kind: Bool, Text: "true"}
	}
	return Value{Kind: Bool, Text: "false"}
}

// Arr returns an array.
func Arr(items ...Value) Value { return Value{Kind: Array, Items: items} }

// Obj returns an object of these members.
func Obj(members ...Member) Value { return Value{Kind: Object, Members: members} }

// M returns a member.
func M(name string, value Value) Member { return Member{name, value} }

// Get returns the member of that name, or null.
func (v Value) Get(name string) Value {
	for _, m := range v.Members {
		if m.Name == name {
			return m.Value
		}
	}
	return Value{}
}

// StringAt returns the text of the member of that name if it is a string, or "".
func (v Value) StringAt(name string) string {
	if m := v.Get(name); m.Kind == String {
		return m.Text
	}
	return ""
}

// Scalar reports whether the value is a string, a number or a boolean.
func (v Value) Scalar() bool {
	return v.Kind == String || v.Kind == Number || v.Kind == Bool
}

// Empty reports whether the value is null or the empty string, which no provider's rule
// signs by default.
func (v Value) Empty() bool {
	return v.Kind == Null || v.Kind == String && v.Text == ""
}

// With returns a copy of the object in which the member has that value. A member
// that is not there yet comes last.
func (v Value) With(name string, value Value) Value {
	members := make([]Member, 0, len(v.Members)+1)
	found := false
	for _, m := range v.Members {
		if m.Name == name {
			m.Value, found = value, true
		}
		members = append(members, m)
	}
	if !found {
		members = append(members, M(name, value))
	}
	return Obj(members...)
}

// Without returns a copy of the object that lacks the member.
func (v Value) Without(name string) Value {
	members := make([]Member, 0, len(v.Members))
	for _, m := range v.Members {
		if m.Name != name {
			members = append(members, m)
		}
	}
	return Obj(members...)
}
