package wire

import (
	"fmt"
	"mime"
	"strings"
)

// ReadBody reads a request's body, which is a JSON object in UTF-8 and says so
// in its Content-Type.
func ReadBody(contentType string, body []byte) (Value, error) {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil || media != "application/json" {
		return Value{}, fmt.Errorf("the Content-Type is %q, not application/json", contentType)
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return Value{}, fmt.Errorf("the charset is %q, not UTF-8", charset)
	}
	return ParseObject(body)
}
