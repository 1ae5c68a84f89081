package keys

import (
	"math/big"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSmallPrimes(t *testing.T) {
	product := big.NewInt(1)
	for n := int64(3); n < 2048; n += 2 {
		if p := big.NewInt(n); p.ProbablyPrime(0) {
			product.Mul(product, p)
		}
	}
	assert.Zero(t, product.Cmp(smallPrimes()))
}
