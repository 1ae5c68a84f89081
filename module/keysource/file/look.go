package file

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
)

// stamp is what the file system tells of a reference's files.
type stamp map[keys.Role]file

// file is one of them. A file behind a symbolic link is swapped, not written.
type file struct {
	fs.FileInfo
	linked bool
}

func (f file) equal(g file) bool {
	return os.SameFile(f.FileInfo, g.FileInfo) && f.Size() == g.Size() && f.ModTime().Equal(g.ModTime())
}

func (s stamp) equal(t stamp) bool {
	if len(s) != len(t) {
		return false
	}
	for role, a := range s {
		if b, ok := t[role]; !ok || !a.equal(b) {
			return false
		}
	}
	return true
}

// newest is the time of the newest file.
func (s stamp) newest() time.Time {
	var newest time.Time
	for _, info := range s {
		if info.ModTime().After(newest) {
			newest = info.ModTime()
		}
	}
	return newest
}

func (s stamp) version() string { return s.newest().UTC().Format(time.RFC3339Nano) }

// look finds the files of a reference. It follows symbolic links, which is how
// Kubernetes swaps all files of a mounted Secret at once. It fails with
// ErrUnknown where there is no folder or no key in it, and with another error
// where the source itself is not there.
func (s *Source) look(dir string) (stamp, error) {
	entries, err := os.ReadDir(dir)
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist), isFile(dir):
		if _, err := os.Stat(s.Dir); err != nil {
			return nil, &keys.BrokenError{Err: i18n.Errorf("looking at the folder of the key files: %w", err)}
		}
		if isFile(s.Dir) {
			return nil, &keys.BrokenError{Err: i18n.Errorf("the folder of the key files, %s, is a file; name the folder", s.Dir)}
		}
		return nil, i18n.Errorf("%w: there is no folder %s", keys.ErrUnknown, dir)
	default:
		return nil, &keys.BrokenError{Err: i18n.Errorf("looking at the key files: %w", err)}
	}
	seen := make(stamp)
	for _, entry := range entries {
		role, ok := keys.ParseFileName(entry.Name())
		if !ok {
			continue
		}
		path := filepath.Join(dir, entry.Name())
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, &keys.BrokenError{Err: i18n.Errorf("looking at the key files: %w", err)}
		case !info.Mode().IsRegular():
			return nil, &keys.BrokenError{Err: i18n.Errorf("%s is not a regular file", path)}
		default:
			seen[role] = file{info, entry.Type()&fs.ModeSymlink != 0}
		}
	}
	if len(seen) == 0 {
		return nil, i18n.Errorf("%w: the folder %s holds no key; it may hold sign.pem, verify.pem, encrypt.pem, decrypt.pem, secret and verify_secret", keys.ErrUnknown, dir)
	}
	return seen, nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir() || errors.Is(err, syscall.ENOTDIR)
}
