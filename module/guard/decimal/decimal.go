// Package decimal holds amounts of money exactly: plain decimals without sign
// and exponent, and no floating point.
package decimal

import (
	"fmt"
	"math/big"
	"strings"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// Digits is how many digits may stand before the point, and how many behind it.
const Digits = 30

// Width is the length of the text that Fixed returns.
const Width = 70

// ErrSyntax says that a text is no plain decimal.
var ErrSyntax = i18n.Errorf("a decimal has 1 to 30 digits, and behind a point 1 to 30 more; no sign and no exponent")

// Decimal is a number that is not negative. The zero value is 0.
type Decimal struct {
	units big.Int // in units of 10^-30
}

// Parse reads a text of the form [0-9]{1,30}(\.[0-9]{1,30})?. The error does not
// hold the text.
func Parse(text string) (*Decimal, error) {
	whole, fraction, point := strings.Cut(text, ".")
	if !digits(whole) || point && !digits(fraction) {
		return nil, ErrSyntax
	}
	d := new(Decimal)
	if _, ok := d.units.SetString(whole+fraction+strings.Repeat("0", Digits-len(fraction)), 10); !ok {
		return nil, ErrSyntax
	}
	return d, nil
}

func digits(text string) bool {
	if len(text) == 0 || len(text) > Digits {
		return false
	}
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return true
}

// Add adds other to d.
func (d *Decimal) Add(other *Decimal) { d.units.Add(&d.units, &other.units) }

// Sub subtracts other from d, which becomes 0 at least.
func (d *Decimal) Sub(other *Decimal) {
	if d.units.Sub(&d.units, &other.units); d.units.Sign() < 0 {
		d.units.SetInt64(0)
	}
}

// Cmp is negative, 0 or positive where d is less than, equal to or greater than
// other.
func (d *Decimal) Cmp(other *Decimal) int { return d.units.Cmp(&other.units) }

// IsZero reports whether d is 0.
func (d *Decimal) IsZero() bool { return d.units.Sign() == 0 }

// Fixed is d in units of 10^-30 as Width decimal digits, for stores that compute
// on their own. It panics where d is 10^40 or more.
func (d *Decimal) Fixed() string {
	text := d.units.String()
	if len(text) > Width {
		panic("decimal: a sum is too large for its text")
	}
	return fmt.Sprintf("%0*s", Width, text)
}

// String is d without zeros at its ends.
func (d *Decimal) String() string {
	text := fmt.Sprintf("%0*s", Digits+1, d.units.String())
	whole, fraction := text[:len(text)-Digits], strings.TrimRight(text[len(text)-Digits:], "0")
	if fraction == "" {
		return whole
	}
	return whole + "." + fraction
}
