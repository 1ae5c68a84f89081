package clients

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/problem"
)

// php compares every member of every problem on standard input, loosely, with what
// providers use for success, and prints those that are equal. Its tests are those of
// client code: ==, switch, intval and empty.
const php = `
$success = [0, "0", "", true, "SUCCESS", "success", "0000", "000000", 200, "200", "T", "00", 1, "1", "ok", "OK"];
foreach (json_decode(stream_get_contents(STDIN), true) as $problem) {
	foreach ($problem as $name => $value) {
		if (in_array($name, ["code", "msg", "data", "return_code", "success", "result"], true)) echo "name $name\n";
		if ($name === "status" ? $value < 400 : !is_string($value)) echo "kind $name\n";
		foreach ($success as $one) {
			if (is_bool($one)) { if ($value === $one) echo "true $name\n"; continue; }
			if ($value == $one) echo "$name == " . json_encode($one) . " " . json_encode($value) . "\n";
			switch ($value) { case $one: echo "switch $name\n"; }
		}
		if ($name === "status" ? intval($value) < 400 : empty($value)) echo "empty $name\n";
	}
}`

// node does the same with JavaScript's loose comparison.
const node = `
const success = [0, "0", "", true, "SUCCESS", "success", "0000", "000000", 200, "200", "T", "00", 1, "1", "ok", "OK", null, false];
for (const problem of JSON.parse(require("fs").readFileSync(0, "utf8")))
	for (const [name, value] of Object.entries(problem))
		for (const one of success)
			if (value == one) console.log(name + " == " + JSON.stringify(one) + " " + JSON.stringify(value));`

// No member of any problem reads as success in the loose comparison of a language that
// merchants write in. PHP 5 to 7 took every text without digits for 0; a test of package
// problem counts that out, because no such PHP may be here.
func TestNoProblemReadsAsSuccess(t *testing.T) {
	var problems []map[string]any
	for _, reason := range problem.Reasons() {
		p := problem.New(reason, i18n.T("what failed"), nil)
		p.ID, p.FirstID, p.FirstOutcome = problem.NewID(), problem.NewID(), "running"
		text, err := json.Marshal(p)
		require.NoError(t, err)
		var members map[string]any
		require.NoError(t, json.Unmarshal(text, &members))
		problems = append(problems, members)
	}
	require.NotEmpty(t, problems)
	input, err := json.Marshal(problems)
	require.NoError(t, err)
	for name, args := range map[string][]string{"php": {"-r", php}, "node": {"-e", node}} {
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath(name); err != nil {
				t.Skipf("%s is not on PATH", name)
			}
			cmd := exec.CommandContext(t.Context(), name, args...)
			cmd.Stdin = strings.NewReader(string(input))
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			assert.Empty(t, string(out))
		})
	}
}
