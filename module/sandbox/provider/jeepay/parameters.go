package jeepay

import (
	"fmt"
	"mime"
	"net/url"
	"strings"

	"github.com/countersign/caddy-countersign/module/sandbox/provider/internal/wire"
)

// readParameters reads the parameters of a request: of a JSON object, or of a
// form, which the server takes as well. The members of a form are strings.
func readParameters(contentType string, body []byte) (wire.Value, error) {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil || media != "application/x-www-form-urlencoded" {
		return wire.ReadBody(contentType, body)
	}
	params, seen := wire.Obj(), make(map[string]bool)
	for piece := range strings.SplitSeq(string(body), "&") {
		if piece == "" {
			continue
		}
		name, value, _ := strings.Cut(piece, "=")
		name, errName := url.QueryUnescape(name)
		value, errValue := url.QueryUnescape(value)
		switch {
		case errName != nil || errValue != nil:
			return wire.Value{}, fmt.Errorf("the form has a broken escape")
		case seen[name]:
			return wire.Value{}, fmt.Errorf("%s occurs twice", name)
		}
		seen[name] = true
		params.Members = append(params.Members, wire.M(name, wire.Str(value)))
	}
	return params, nil
}
