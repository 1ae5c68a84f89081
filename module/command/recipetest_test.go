package command_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// recipe test opens genuine messages of every kind and attacks them; one that does
// not verify, and a recipe that lets a part through which it says it signs, end with
// the status 1.
func TestRecipeTest(t *testing.T) {
	providers := "../providers/"
	for name, args := range map[string][]string{
		"an answer":        {"alipay", "--keys", providers + "alipay/keys", "--ref", "test/answer", providers + "alipay/messages/answer.http"},
		"a form":           {"jsb", "--keys", providers + "jsb/keys", "--ref", "test/answer-scan", providers + "jsb/messages/answer-scan.http"},
		"a notification":   {"stripe", "--keys", providers + "stripe/keys", "--ref", "test/notification", "--at", "2023-11-14T22:13:20Z", providers + "stripe/messages/notification.http"},
		"a request in XML": {"wechatpay-v2", "--keys", providers + "wechatpay-v2/keys", "--ref", "test/request-md5", "--as", "request", providers + "wechatpay-v2/messages/request-md5.http"},
	} {
		got := caddy(t, "", append([]string{"recipe", "test"}, args...)...)
		assert.Equal(t, 0, got.status, "%s: %s%s", name, got.stdout, got.stderr)
		assert.NotContains(t, got.stdout, "WRONG", name)
		assert.Greater(t, strings.Count(got.stdout, "refused"), 10, name)
		assert.Contains(t, got.stdout, "passed: it is not signed", name)
	}

	// A message that was changed.
	genuine, err := os.ReadFile(providers + "stripe/messages/notification.http")
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "changed.http")
	require.NoError(t, os.WriteFile(file, append(genuine, ' '), 0o600))
	got := caddy(t, "", "recipe", "test", "stripe", "--keys", providers+"stripe/keys", "--ref", "test/notification", "--at", "2023-11-14T22:13:20Z", file)
	assert.Equal(t, 1, got.status)
	assert.Contains(t, got.stdout, "WRONG")
	assert.Regexp(t, `as it is +refused `, got.stdout)

	// In Chinese each row says in Chinese what was changed and what became of it.
	got = caddy(t, "", "recipe", "test", "--lang", "zh", "stripe", "--keys", providers+"stripe/keys", "--ref", "test/notification", "--at", "2023-11-14T22:13:20Z", providers+"stripe/messages/notification.http")
	require.Equal(t, 0, got.status, got.stderr)
	rows := strings.Split(strings.TrimSpace(got.stdout), "\n")
	assert.Contains(t, rows[len(rows)-1], "报文：跑了 1 条")
	for _, row := range rows[:len(rows)-1] {
		assert.Regexp(t, `^正常 .*\.http  .*\p{Han}.*  (通过|拒绝|通过：签名不覆盖它)( |$)`, row)
		assert.NotRegexp(t, `another|without|twice|refused|passed`, row)
	}
}

// Without messages recipe test runs those of the folder, which are in the program.
func TestRecipeTestOfFolders(t *testing.T) {
	t.Chdir(t.TempDir()) // no folder of a checkout is at hand
	got := caddy(t, "", "recipe", "test", "alipay")
	assert.Equal(t, 0, got.status, got.stdout+got.stderr)
	assert.Contains(t, got.stdout, "messages: 5 run, 0 left out; attacks: ")
	assert.Contains(t, got.stdout, "alipay/messages/answer-transfer.http")
	assert.Greater(t, strings.Count(got.stdout, "refused"), 100)

	got = caddy(t, "", "recipe", "test", "github")
	assert.Contains(t, got.stdout, "messages: 2 run, 0 left out; attacks: ")
	got = caddy(t, "", "recipe", "test", "nosuch")
	assert.Equal(t, 1, got.status)
	assert.Contains(t, got.stderr, `unknown recipe "nosuch"`)
}

// Without a name it runs every message of every folder.
func TestRecipeTestOfAll(t *testing.T) {
	files, err := filepath.Glob("../providers/*/messages/*.http")
	require.NoError(t, err)
	got := caddy(t, "", "recipe", "test")
	assert.Equal(t, 0, got.status, got.stdout+got.stderr)
	assert.Contains(t, got.stdout, fmt.Sprintf("messages: %d run, 1 left out; attacks: ", len(files)-1))
	assert.Contains(t, got.stdout, "wrong: 0")
	assert.Contains(t, got.stdout, "sealed again")
	for _, file := range files {
		name, _ := filepath.Rel("../providers", file)
		assert.Contains(t, got.stdout, filepath.ToSlash(name))
	}
}

// ownFolder copies a provider's folder, with a recipe of another name.
func ownFolder(t *testing.T, provider, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Join("../providers", provider))))
	file := filepath.Join(dir, "recipe.caddyfile")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, []byte(strings.Replace(string(text), "recipe "+provider+" {", "recipe "+name+" {", 1)), 0o600))
	return dir
}

// A folder of one's own has the same layout, and what is wrong in it is said.
func TestRecipeTestOfOwnFolders(t *testing.T) {
	dir := ownFolder(t, "github", "acme")
	for name, args := range map[string][]string{
		"the folder":            {dir},
		"the recipe in it":      {filepath.Join(dir, "recipe.caddyfile")},
		"a flag":                {"--recipe", filepath.Join(dir, "recipe.caddyfile")},
		"a flag with a folder":  {"--recipe", dir},
		"a name beside it":      {"--recipe", filepath.Join(dir, "recipe.caddyfile"), "acme"},
		"a name behind it":      {dir, "acme"},
		"a folder that ships":   {"../providers/github"},
		"a folder, with a dot":  {dir + "/."},
		"another message's key": {dir, "--ref", "test/nosuch"}, // the note beside the message says which
	} {
		got := caddy(t, "", append([]string{"recipe", "test"}, args...)...)
		assert.Equal(t, 0, got.status, "%s: %s", name, got.stderr)
		assert.Contains(t, got.stdout, "messages: 2 run, 0 left out; attacks: ", name)
	}

	alone := filepath.Join(t.TempDir(), "recipe.caddyfile")
	recipe, err := os.ReadFile(filepath.Join(dir, "recipe.caddyfile"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(alone, recipe, 0o600))
	got := caddy(t, "", "recipe", "test", alone)
	assert.Equal(t, 0, got.status, got.stderr)
	assert.Contains(t, got.stdout, "no messages stand in the folders of acme")
	assert.Contains(t, got.stdout, "messages: 0 run")

	message := filepath.Join(dir, "messages", "notification.http")
	beside := filepath.Join(dir, "messages", "notification.json")
	note, err := os.ReadFile(beside)
	require.NoError(t, err)
	genuine, err := os.ReadFile(message)
	require.NoError(t, err)
	with := func(name string, value any) string {
		var n map[string]any
		require.NoError(t, json.Unmarshal(note, &n))
		n[name] = value
		text, err := json.Marshal(n)
		require.NoError(t, err)
		return string(text)
	}
	for name, test := range map[string]struct {
		note, message string
		args          []string
		status        int
		want          string
	}{
		"a changed message":      {string(note), string(genuine) + " ", nil, 1, "WRONG  acme/messages/notification.http"},
		"no such keys":           {with("ref", "nosuch"), string(genuine), nil, 1, `loading the key set "nosuch"`},
		"keys outside":           {with("ref", "../messages"), string(genuine), nil, 1, "loading the key set"},
		"no keys named":          {with("ref", ""), string(genuine), nil, 1, "which keys open this message?"},
		"keys of the flag":       {with("ref", ""), string(genuine), []string{"--ref", "test/notification"}, 0, "messages: 2 run"},
		"an unknown option":      {with("options", map[string][]string{"nosuch": {"1"}}), string(genuine), nil, 1, "nosuch"},
		"another recipe":         {with("recipe", "nosuch"), string(genuine), nil, 1, "which recipe is this message of?"},
		"a note that is no JSON": {"{", string(genuine), nil, 1, "reading messages/notification.json"},
		"a message left out":     {with("unread", "it is a picture"), string(genuine), nil, 0, "messages: 1 run, 1 left out"},
		"a body alone":           {with("kind", ""), "{}", nil, 1, "the file is a body alone"},
	} {
		require.NoError(t, os.WriteFile(beside, []byte(test.note), 0o600))
		require.NoError(t, os.WriteFile(message, []byte(test.message), 0o600))
		got := caddy(t, "", append([]string{"recipe", "test", dir}, test.args...)...)
		assert.Equal(t, test.status, got.status, "%s: %s", name, got.stderr)
		assert.Contains(t, got.stdout+got.stderr, test.want, name)
	}
}
