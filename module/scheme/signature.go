package scheme

import "github.com/countersign/caddy-countersign/module/body"

// SignatureText is the signature in the member called name. It fails with the
// reason Unsigned where there is none, and Invalid where it is no string.
func SignatureText(message *body.Object, name string) (string, error) {
	m, ok := message.Get(name)
	switch {
	case !ok || m.IsEmpty():
		return "", Failf(Unsigned, "the message has no %s", name)
	case m.Kind() != body.String:
		return "", Failf(Invalid, "the member %s is not a string", name)
	}
	return string(m.Text()), nil
}
