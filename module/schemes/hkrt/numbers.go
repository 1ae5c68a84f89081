package hkrt

import (
	"bytes"
	"strconv"
)

// shortest is a number as PHP writes it after it has read it, with no more
// digits than it needs: 1.00 is 1 and 0.10 is 0.1. A whole number stays. So does
// one that PHP would write with an exponent, which depends on its settings.
func shortest(token []byte) []byte {
	if !bytes.ContainsAny(token, ".eE") {
		return token
	}
	f, err := strconv.ParseFloat(string(token), 64)
	if abs := max(f, -f); err != nil || abs >= 1e15 || abs != 0 && abs < 1e-4 {
		return token
	}
	return strconv.AppendFloat(nil, f, 'f', -1, 64)
}
