package file

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
)

// stamp is the state of a reference's files in the file system.
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

// newest returns the time of the newest file.
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
// Kubernetes swaps all files of a mounted Secret at once. It returns ErrUnknown if the
// folder does not exist or has no key, and another error if the folder of the source
// does not exist.
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

// orEmpty replaces the error for a missing set by one for the source, if the source has
// no set at all.
func (s *Source) orEmpty(err error) error {
	if broken := s.unfilled(); broken != nil && errors.Is(err, keys.ErrUnknown) {
		return broken
	}
	return err
}

// unfilled returns an error where the source has no set at all and never had one: a
// volume that is not mounted leaves an empty folder behind. If it had sets before, an
// operator has removed them.
func (s *Source) unfilled() error {
	if s.served.Load() || !s.empty() {
		return nil
	}
	return &keys.BrokenError{Err: i18n.Errorf("the folder of the key files, %s, holds no key set: it is empty, or its volume is not mounted", s.Dir)}
}

// empty reports whether nothing that can be a key set, or a part of its name, stands in
// the folder.
func (s *Source) empty() bool {
	entries, err := os.ReadDir(s.Dir)
	return err == nil && !slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		if strings.HasPrefix(e.Name(), ".") || e.Name() == "lost+found" {
			return false
		}
		info, err := os.Stat(filepath.Join(s.Dir, e.Name()))
		return err == nil && info.IsDir()
	})
}
