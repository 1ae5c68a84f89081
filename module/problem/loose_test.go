package problem_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/problem"
)

// looseNumber returns what PHP 5 to 7 make of a string that is compared with a number:
// the number that it begins with, or 0.
func looseNumber(text string) float64 {
	text = strings.TrimLeft(text, " \t\n\r\v\f")
	end, best := 0, 0.0
	for end < len(text) {
		end++
		if n, err := strconv.ParseFloat(text[:end], 64); err == nil && !strings.ContainsAny(text[:end], "_xXpPnN") {
			best = n
		}
	}
	return best
}

// number returns a string as a number where it is one as a whole, as PHP 8 and
// JavaScript see it.
func number(text string) (float64, bool) {
	n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	return n, err == nil && !strings.ContainsAny(text, "_xXpPnN")
}

// The success values of legacy clients. true is left out for texts: every text but ""
// and "0" equals it in PHP, so that no member with a text could stand it; it is why
// no member has the name of a result.
var successes = []any{float64(0), "0", "", "SUCCESS", "success"}

// php5 compares as == does in PHP 5 to 7, php8 as in PHP 8, javascript as there.
func php5(member, success any) bool {
	switch m := member.(type) {
	case float64:
		switch s := success.(type) {
		case float64:
			return m == s
		case bool:
			return (m != 0) == s
		case string:
			return m == looseNumber(s)
		}
	case string:
		switch s := success.(type) {
		case float64:
			return looseNumber(m) == s
		case bool:
			return (m != "" && m != "0") == s
		case string:
			a, okA := number(m)
			b, okB := number(s)
			return okA && okB && a == b || m == s
		}
	}
	return false
}

func php8(member, success any) bool {
	m, okM := member.(float64)
	s, okS := success.(float64)
	if text, ok := member.(string); ok && okS {
		n, numeric := number(text)
		return numeric && n == s || !numeric && text == strconv.FormatFloat(s, 'g', -1, 64)
	}
	if text, ok := success.(string); ok && okM {
		n, numeric := number(text)
		return numeric && n == m || !numeric && text == strconv.FormatFloat(m, 'g', -1, 64)
	}
	return php5(member, success)
}

func javascript(member, success any) bool {
	toNumber := func(of any) (float64, bool) {
		switch v := of.(type) {
		case float64:
			return v, true
		case bool:
			if v {
				return 1, true
			}
			return 0, true
		case string:
			if strings.TrimSpace(v) == "" {
				return 0, true
			}
			return number(v)
		}
		return 0, false
	}
	a, textA := member.(string)
	b, textB := success.(string)
	if textA && textB {
		return a == b
	}
	m, okM := toNumber(member)
	s, okS := toNumber(success)
	return okM && okS && m == s
}

// The models of the comparisons say what the languages say.
func TestLooseComparisons(t *testing.T) {
	for _, c := range []struct {
		a, b                   any
		php5, php8, javascript bool
	}{
		{"response_signature_invalid", 0.0, true, false, false}, // why the member is not called code
		{"", 0.0, true, false, true},
		{"0", 0.0, true, true, true},
		{" 0", 0.0, true, true, true},
		{"0abc", 0.0, true, false, false},
		{"12ab", 12.0, true, false, false},
		{"502", 502.0, true, true, true},
		{"1e1", "10", true, true, false},
		{"abc", true, true, true, false},
		{"0", true, false, false, false},
		{1.0, true, true, true, true},
		{502.0, true, true, true, false},
		{"SUCCESS", "success", false, false, false},
		{"success", "success", true, true, true},
		{0.0, "", true, false, true},
	} {
		assert.Equal(t, c.php5, php5(c.a, c.b), "PHP 7: %#v == %#v", c.a, c.b)
		assert.Equal(t, c.php8, php8(c.a, c.b), "PHP 8: %#v == %#v", c.a, c.b)
		assert.Equal(t, c.javascript, javascript(c.a, c.b), "JavaScript: %#v == %#v", c.a, c.b)
	}
}

// results are the names under which providers tell their result. A client that looks
// for one of them in a problem finds nothing.
var results = []string{
	"code", "msg", "message", "data", "return_code", "returnCode", "result_code", "resultCode", "ret_code", "retCode",
	"sysRetCode", "sysRetMsg", "success", "state", "errcode", "errCode", "err_code", "error", "result", "resp_code", "respCode",
	"trade_state", "sub_code", "subCode", "sign", "ok",
}

// No member of any problem can be read as a success. A text equals 0 in PHP 5 to 7
// whatever it says, unless it begins with a digit, so that against 0 and true, which
// all texts equal there, the names protect: no client compares title or reason with a
// number.
func TestNoProblemLooksLikeSuccess(t *testing.T) {
	for _, reason := range problem.Reasons() {
		for i, code := range []string{"0", "0000", "0.00", "-0", "0e7", "SUCCESS", "success", "Success", "A0", "40003"} {
			notification := i%2 == 0
			p := problem.New(reason, i18n.T("what failed"), nil)
			p.ID, p.Notification = problem.NewID(), notification
			p.UpstreamStatus, p.UpstreamContentType, p.UpstreamCode = 200, "application/json", code
			p.FirstID, p.FirstOutcome = problem.NewID(), "running"
			text, err := json.Marshal(p)
			require.NoError(t, err)
			var members map[string]any
			require.NoError(t, json.Unmarshal(text, &members))
			for name, value := range members {
				for _, result := range results {
					assert.NotEqual(t, strings.ToLower(result), strings.ToLower(name))
				}
				_, isText := value.(string)
				for _, success := range successes {
					assert.False(t, php8(value, success), "PHP 8: %s: %#v == %#v", name, value, success)
					assert.False(t, javascript(value, success), "JavaScript: %s: %#v == %#v", name, value, success)
					if _, zero := success.(float64); !zero || !isText {
						assert.False(t, php5(value, success), "PHP 7: %s: %#v == %#v", name, value, success)
					}
				}
				assert.False(t, javascript(value, true), "JavaScript: %s: %#v == true", name, value)
				assert.NotContains(t, []any{"SUCCESS", "success"}, value)
			}
		}
	}
}
