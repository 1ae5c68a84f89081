package i18n

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
)

const ( // of the catalogue
	outer = "reading %s as %s: %w"
	inner = "not a JSON object"
)

func TestErrorsInBothLanguages(t *testing.T) {
	err := Errorf(outer, "FILE", "verify", Errorf(inner))
	assert.Equal(t, "reading FILE as verify: not a JSON object", err.Error())
	assert.Equal(t, err.Error(), In(English, err))
	assert.Equal(t, "把 FILE 读作 verify 时出错：不是 JSON 对象", In(Chinese, err))
	assert.Equal(t, In(Chinese, err), Of(err).In(Chinese))

	foreign := fmt.Errorf("outside: %w", err)
	assert.Equal(t, foreign.Error(), In(Chinese, foreign), "what nobody has translated is shown as it is")
}

func TestErrorsWrapAsThoseOfFmt(t *testing.T) {
	assert.ErrorIs(t, Errorf("a %w", io.EOF), io.EOF)
	assert.Equal(t, io.EOF, errors.Unwrap(Errorf("a %w", io.EOF)))
	both := Errorf("a %w %w", io.EOF, fs.ErrExist)
	assert.ErrorIs(t, both, io.EOF)
	assert.ErrorIs(t, both, fs.ErrExist)
	assert.NoError(t, errors.Unwrap(Errorf("a %v", io.EOF)))
	assert.NotErrorIs(t, Errorf("a %v", io.EOF), io.EOF)
	assert.Equal(t, "100%", Errorf("100%%").Error())
}

// The language of the process is that of what commands print.
func TestUse(t *testing.T) {
	t.Cleanup(func() { Use(English) })
	assert.Equal(t, English, Current())
	Use(Chinese)
	assert.Equal(t, "不是 JSON 对象", Errorf(inner).Error())
	var out bytes.Buffer
	Fprintf(&out, inner)
	assert.Equal(t, "不是 JSON 对象", out.String())
	assert.Equal(t, inner, T(inner).In(English))
}

// What the system says of a file is Chinese too, where it is met every day.
func TestFileErrors(t *testing.T) {
	for reason, want := range map[error]string{
		syscall.ENOENT: "a/b：文件或目录不存在", syscall.EACCES: "a/b：没有权限", syscall.EISDIR: "a/b：这是目录，不是文件",
		syscall.EINTR: "open a/b: " + syscall.EINTR.Error(),
	} {
		err := &fs.PathError{Op: "open", Path: "a/b", Err: reason}
		assert.Equal(t, want, In(Chinese, err))
		assert.Equal(t, err.Error(), In(English, err))
		assert.Equal(t, want, Of(err).In(Chinese))
		assert.Equal(t, "写入 x 时出错："+want, In(Chinese, Errorf("writing %s: %w", "x", err)))
		assert.Equal(t, "writing x: "+err.Error(), In(English, Errorf("writing %s: %w", "x", err)))
	}
}

func TestFromEnvironment(t *testing.T) {
	for _, tc := range []struct {
		env  map[string]string
		want Language
	}{
		{nil, English},
		{map[string]string{"LANG": "zh_CN.UTF-8"}, Chinese},
		{map[string]string{"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, English},
		{map[string]string{"LANG": "C", "LC_MESSAGES": "zh_CN"}, Chinese},
		{map[string]string{"LANG": "de_DE.UTF-8"}, English},
	} {
		assert.Equal(t, tc.want, FromEnvironment(func(name string) string { return tc.env[name] }), "%v", tc.env)
	}
}

func TestAccepted(t *testing.T) {
	for header, want := range map[string]Language{
		"": English, "zh-CN,zh;q=0.9,en;q=0.8": Chinese, "zh": Chinese, "zh-TW": Chinese, "zh-Hant-HK": Chinese,
		"en-US,en;q=0.5,zh;q=0.4": English, "zh;q=0.5, en;q=0.9": English, "de": English, "*": English,
		"fr-FR, zh;q=0.1": Chinese, "zh;q=0": English, "not a header \x00": English, "zh;q=nonsense": English,
	} {
		assert.Equal(t, want, Accepted(header, English), header)
	}
	assert.Equal(t, Chinese, Accepted("de", Chinese))
	assert.Equal(t, Chinese, Accepted("", Chinese))
	assert.Equal(t, English, Accepted("en", Chinese))
}
