package i18n

import (
	"errors"
	"io/fs"
	"syscall"
)

// fileReasons are what a file system refuses every day, in Chinese. What is not
// among them stays as the system writes it.
var fileReasons = []struct {
	is   error
	text string
}{
	{fs.ErrNotExist, "文件或目录不存在"},
	{fs.ErrExist, "已经存在"},
	{fs.ErrPermission, "没有权限"},
	{syscall.EISDIR, "这是目录，不是文件"},
	{syscall.ENOTDIR, "路径中有一段不是目录"},
	{syscall.ENOSPC, "磁盘已满"},
	{syscall.EROFS, "文件系统只读"},
}

// fileError is the text of an error of a file in Chinese, or nothing where the
// system's own text stays.
func fileError(err *fs.PathError) string {
	for _, reason := range fileReasons {
		if errors.Is(err.Err, reason.is) {
			return err.Path + "：" + reason.text
		}
	}
	return ""
}
