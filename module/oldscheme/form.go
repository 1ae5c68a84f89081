package scheme

import (
	"errors"
	"net/url"
	"strings"
	"unicode/utf8"
)

// The ways in which a form can fail to be one that has one reading. None of
// them holds a byte of the form.
var (
	errEscape    = errors.New("a percent sign is not followed by two hexadecimal digits")
	errUTF8      = errors.New("not UTF-8")
	errSemicolon = errors.New("a semicolon is not escaped, which some servers take for a separator")
	errNameless  = errors.New("a parameter has no name")
	errFolded    = errors.New("the name of a parameter holds white space, a dot or a bracket, which some applications read as another name")
	errTwice     = errors.New("a parameter occurs twice")
)

// ParseForm reads the parameters of the query and of the body, in their order.
// Two servers that disagree about which of two equal parameters counts are a
// way to sign one amount and book another: one that occurs twice, in the query
// and the body together, is refused, and so is whatever else servers read
// differently.
func ParseForm(query, text string) ([]Param, error) {
	var params []Param
	seen := make(map[string]bool)
	for _, part := range []string{query, text} {
		for piece := range strings.SplitSeq(part, "&") {
			if piece == "" {
				continue
			}
			param, err := parseParam(piece)
			if err != nil {
				return nil, err
			}
			if seen[param.Name] {
				return nil, errTwice
			}
			seen[param.Name] = true
			params = append(params, param)
		}
	}
	return params, nil
}

// foldedAway are characters that PHP takes out of the name of a parameter, or
// makes something else of: " amount", "amount[]" and "amount\x00" all become
// amount there. An empty parameter is in no signature, so anybody could add one
// and take the place of what was signed.
const foldedAway = "[]. \t\r\n\v\f\x00"

func parseParam(piece string) (Param, error) {
	if strings.Contains(piece, ";") {
		return Param{}, errSemicolon
	}
	rawName, rawValue, _ := strings.Cut(piece, "=")
	var param Param
	var err error
	if param.Name, err = unescape(rawName); err != nil {
		return Param{}, err
	}
	if param.Name == "" {
		return Param{}, errNameless
	}
	if strings.ContainsAny(param.Name, foldedAway) {
		return Param{}, errFolded
	}
	param.Value, err = unescape(rawValue)
	return param, err
}

func unescape(text string) (string, error) {
	out, err := url.QueryUnescape(text)
	if err != nil {
		return "", errEscape // the library's error quotes the text
	}
	if !utf8.ValidString(out) {
		return "", errUTF8
	}
	return out, nil
}
