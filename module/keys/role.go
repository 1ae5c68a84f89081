package keys

import (
	"slices"
	"strings"
)

// Role says what a key of a set is for. A role may carry an id behind "@", for
// further keys of that role: "verify@5157F09EFDC096DE", "secret@iv".
type Role string

// The roles of a key set, seen from the side that holds it.
const (
	Sign         Role = "sign"          // own private key
	Verify       Role = "verify"        // the peer's public keys
	Encrypt      Role = "encrypt"       // the peer's public key
	Decrypt      Role = "decrypt"       // own private keys
	SharedSecret Role = "secret"        // shared with the peer
	VerifySecret Role = "verify_secret" // accepted besides secret, while it is rotated
)

// Roles are all roles without an id, in the order in which they are shown.
var Roles = []Role{Sign, Verify, Encrypt, Decrypt, SharedSecret, VerifySecret}

// serialOf is the suffix of a file or field that holds only the serial number of a
// role's key: "sign.serial".
const serialOf = ".serial"

// maxID is the length of the longest id, in bytes.
const maxID = 128

// ParseRole reads a role as a Vault field spells it. It returns false for
// anything else: an unknown role, or an id that is not of letters, digits,
// "_", "-" and ".".
func ParseRole(text string) (Role, bool) {
	role := Role(text)
	if plain, ok := strings.CutSuffix(text, serialOf); ok && !strings.Contains(plain, "@") {
		return role, slices.Contains([]Role{Sign, Verify, Encrypt, Decrypt}, Role(plain))
	}
	plain, id := role.Split()
	if !slices.Contains(Roles, plain) {
		return "", false
	}
	return role, role == plain || validID(id)
}

func validID(id string) bool {
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-', c == '.':
		default:
			return false
		}
	}
	return id != "" && len(id) <= maxID
}

// ParseFileName reads the role that a file of a key set holds. It returns false
// for files that belong to no role.
func ParseFileName(name string) (Role, bool) {
	role, ok := ParseRole(strings.TrimSuffix(name, ".pem"))
	return role, ok && role.FileName() == name
}

// FileName returns the name of the file that holds a role: "sign.pem",
// "verify@01.pem", "secret", "secret@iv", "sign.serial".
func (r Role) FileName() string {
	plain, id := r.Split()
	if plain == SharedSecret || plain == VerifySecret || id == "" && strings.HasSuffix(string(r), serialOf) {
		return string(r)
	}
	return string(r) + ".pem"
}

// Split returns a role without its id, and the id, or "".
func (r Role) Split() (plain Role, id string) {
	before, id, _ := strings.Cut(string(r), "@")
	return Role(before), id
}

// With returns the role with an id; the empty id leaves it plain.
func (r Role) With(id string) Role {
	if id == "" {
		return r
	}
	return r + Role("@"+id)
}

// IsPrivate reports whether whoever reads a key of the role can pretend to be
// its owner.
func (r Role) IsPrivate() bool {
	switch plain, _ := r.Split(); plain {
	case Sign, Decrypt, SharedSecret, VerifySecret:
		return true
	default:
		return false
	}
}
