package file

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/keys/devkeys"
	"github.com/countersign/caddy-countersign/module/keysource"
)

var hasModes = keysource.HasModes // a variable for tests

// Diagnose checks the modes of the files: everybody who can read a private key can sign
// in the merchant's name, and everybody who can write a public key can make answers
// that verify.
func (s *Source) Diagnose(ctx context.Context, references []string) []keysource.Finding {
	var found []keysource.Finding
	for _, reference := range references {
		dir := filepath.Join(s.Dir, filepath.FromSlash(reference))
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			continue // the load reports that it is missing
		}
		if s.published(ctx, reference) {
			found = append(found, finding(s.Dir, keysource.OK, i18n.Sprintf("it holds the keys of keys-dev, which everybody has: the modes of its files protect nothing"), ""))
			continue
		}
		if !hasModes {
			found = append(found, finding(s.Dir, keysource.OK, i18n.Sprintf("Windows keeps access lists, at which the doctor does not look; see who may read and change the keys: icacls %s /T", s.Dir), ""))
			continue
		}
		before := len(found)
		for _, place := range []string{s.Dir, dir} {
			found = append(found, writable(place)...)
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			found = append(found, unreadable(dir, err))
		}
		for _, entry := range entries {
			role, ok := keys.ParseFileName(entry.Name())
			if !ok {
				continue
			}
			path := filepath.Join(dir, entry.Name())
			found = append(found, writable(path)...)
			if role.IsPrivate() {
				found = append(found, readable(path)...)
			}
		}
		if len(found) == before {
			found = append(found, finding(dir, keysource.OK, i18n.Sprintf("nobody but the owner can read the private keys or change any"), ""))
		}
	}
	slices.SortStableFunc(found, func(a, b keysource.Finding) int { return cmp.Compare(a.Subject, b.Subject) })
	return slices.Compact(found) // the common folder is checked for each reference
}

// published reports whether a set below a folder keys-dev holds nothing but the
// keys that are published there. A clone has the modes of its user's umask.
func (s *Source) published(ctx context.Context, reference string) bool {
	dir, err := filepath.Abs(s.Dir)
	if err != nil || !slices.Contains(strings.Split(filepath.ToSlash(dir), "/"), "keys-dev") {
		return false
	}
	set, err := s.Load(ctx, reference, nil)
	if err != nil || len(set.Broken) > 0 {
		return false
	}
	for _, role := range set.Roles() {
		plain, id := role.Split()
		for _, key := range set.Info(role) {
			known := devkeys.Known(key.Fingerprint)
			if plain == keys.SharedSecret {
				known = devkeys.Known(set.NamedSecret(id).SHA256())
			}
			if !known {
				return false
			}
		}
	}
	return true
}

func finding(subject string, status keysource.Status, reason, advice string) keysource.Finding {
	return keysource.Finding{Check: "file permissions", Subject: subject, Status: status, Reason: reason, Advice: advice}
}

func unreadable(path string, err error) keysource.Finding {
	return finding(path, keysource.Failure, i18n.Sprintf("it cannot be looked at: %s", err.Error()), i18n.Sprintf("let the user that Caddy runs as read it"))
}

// writable finds a file or folder that others can change.
func writable(path string) []keysource.Finding {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return []keysource.Finding{unreadable(path, err)}
	case keysource.Permissions(info)&0o022 != 0 && info.Mode()&fs.ModeSticky == 0:
		return []keysource.Finding{finding(path, keysource.Failure,
			i18n.Sprintf("mode %04o: others than the owner can put other keys in the place of these", info.Mode().Perm()), i18n.Sprintf("chmod go-w %s", path))}
	}
	return nil
}

// readable finds a private file that others can read.
func readable(path string) []keysource.Finding {
	info, err := os.Stat(path)
	if err != nil || keysource.Permissions(info)&0o044 == 0 {
		return nil
	}
	return []keysource.Finding{finding(path, keysource.Warning,
		i18n.Sprintf("mode %04o: others than the owner can read a private key", info.Mode().Perm()), i18n.Sprintf("chmod go-r %s", path))}
}

// References returns the folders below Dir that hold a file of a role.
func (s *Source) References(ctx context.Context, limit int) ([]string, error) {
	var found []string
	err := filepath.WalkDir(s.Dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case len(found) == limit:
			return fs.SkipAll
		case !entry.IsDir():
			return nil
		case path != s.Dir && strings.HasPrefix(entry.Name(), "."): // such as ..data of a mounted Secret
			return fs.SkipDir
		}
		reference, err := filepath.Rel(s.Dir, path)
		if err != nil {
			return err
		}
		if reference = filepath.ToSlash(reference); keys.CheckReference(reference) != nil {
			return nil //nolint:nilerr // a folder whose name is not a reference holds no key set
		}
		if seen, err := s.look(path); err == nil && len(seen) > 0 {
			found = append(found, reference)
		}
		return nil
	})
	if err != nil {
		return nil, i18n.Errorf("listing the key sets in %s: %w", s.Dir, err)
	}
	slices.Sort(found)
	return found, nil
}

var (
	_ keysource.Doctor = (*Source)(nil)
	_ keysource.Lister = (*Source)(nil)
)
