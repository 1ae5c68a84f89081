package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const speed30 = `version: 3.0.19
CPUINFO: OPENSSL_ia32cap=0xfffa3203078bffff:0x405fc6f1bf07ab
                  sign    verify    sign/s verify/s
rsa 1024 bits 0.000071s 0.000004s  14061.1 234759.6
rsa 2048 bits 0.000245s 0.000014s   4082.1  69158.6
`

// OpenSSL 3.2 has encryption besides.
const speed32 = `                    sign    verify   encrypt   decrypt    sign/s verify/s  encr./s  decr./s
rsa  1024 bits 0.000060s 0.000004s 0.000004s 0.000070s  16666.7 250000.0 240000.0  14285.7
rsa  2048 bits 0.000250s 0.000014s 0.000015s 0.000260s   4000.0  71428.6  66666.7   3846.2
`

func TestParseSpeed(t *testing.T) {
	for _, tc := range []struct {
		text         string
		small, large float64
	}{
		{speed30, 1e6 / 14061.1, 1e6 / 4082.1},
		{speed32, 60, 250},
	} {
		times, err := parseSpeed(tc.text)
		require.NoError(t, err)
		assert.InDelta(t, tc.small, times["sign1024"], 0.01)
		assert.InDelta(t, tc.large, times["sign2048"], 0.01)
	}
	for name, text := range map[string]string{
		"nothing":            "",
		"no head":            strings.Join(strings.Split(speed30, "\n")[3:], "\n"),
		"a size is missing":  strings.Join(strings.Split(speed30, "\n")[:4], "\n"),
		"too few columns":    strings.ReplaceAll(speed30, "  14061.1 234759.6", ""),
		"no number":          strings.ReplaceAll(speed30, "4082.1", "fast"),
		"not one in a year":  strings.ReplaceAll(speed30, "4082.1", "0.0"),
		"an error in a line": "speed: unknown algorithm rsa1024\n",
	} {
		_, err := parseSpeed(text)
		assert.ErrorContains(t, err, "reading openssl speed", name)
	}
}

func TestParseSpeedOfTheOpenSSLThatIsHere(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Log("there is no openssl on PATH")
		return
	}
	times, err := openssl(t.Context())
	require.NoError(t, err)
	assert.Greater(t, times["sign2048"], times["sign1024"])
	assert.Greater(t, times["sign1024"], 5.0, "microseconds")
	assert.Less(t, times["sign2048"], 50_000.0, "microseconds")
}

func TestArithmetic(t *testing.T) {
	f := &flavour{name: "go"}
	round := func(ssl, bare float64) bareRound {
		r := bareRound{flavours: map[*flavour]floorTimes{f: {"sign1024": bare / 4, "sign2048": bare}}}
		if ssl > 0 {
			r.openssl = floorTimes{"sign1024": ssl / 4, "sign2048": ssl}
		}
		return r
	}
	all := arithmetic([]*flavour{f}, []bareRound{round(100, 300), round(1000, 3000), round(100, 400)})
	require.Len(t, all, 4)
	assert.Equal(t, "openssl speed", all[2].By)
	assert.Equal(t, "RSA-2048 sign", all[3].Operation)
	assert.InDelta(t, 400, all[3].Micros, 1e-9)
	assert.InDelta(t, 3, all[3].ToOpenSSL, 1e-9, "taken within a round")

	without := arithmetic([]*flavour{f}, []bareRound{round(0, 300)})
	require.Len(t, without, 2, "no openssl, no line for it")
	assert.Zero(t, without[0].ToOpenSSL)
}
