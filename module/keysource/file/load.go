package file

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/keys"
)

// Load reads the files of a reference, or returns previous if none changed, or
// if those that changed may still be written. It reads until two looks at the
// files agree, so that it never mixes the files of two versions when a folder
// is swapped.
//
// A file that is written twice within one tick of the file system's clock can
// look the same. So files that look the same are read again while they are
// young.
func (s *Source) Load(ctx context.Context, reference string, previous *keys.Set) (*keys.Set, error) {
	dir := filepath.Join(s.Dir, filepath.FromSlash(reference))
	var before state
	if previous != nil {
		before, _ = previous.Stamp.(state)
	}
	seen, err := s.look(dir)
	if err != nil && !errors.Is(err, keys.ErrUnknown) {
		return nil, err
	}
	if previous != nil && before.files.equal(seen) && time.Since(seen.newest()) > time.Second+2*time.Duration(s.Refresh) {
		s.pending.Delete(reference)
		return previous, nil
	}
	if previous != nil && !s.still(reference, before.files, seen) {
		return previous, nil
	}
	if err != nil {
		return nil, s.orEmpty(err)
	}
	if previous == nil {
		s.pending.Delete(reference)
		if err := s.pause(ctx, seen); err != nil {
			return nil, err
		}
	}
	for range 5 {
		material, err := read(dir, seen)
		if err != nil {
			return nil, err
		}
		again, err := s.look(dir)
		if err != nil {
			return nil, err
		}
		if !seen.equal(again) {
			material.Wipe()
			if previous != nil && !s.still(reference, before.files, again) {
				return previous, nil
			}
			seen = again
			continue
		}
		sum := digest(material)
		if before.files.equal(seen) && before.sum == sum {
			material.Wipe()
			return previous, nil
		}
		set, err := parse(reference, seen, material, previous)
		material.Wipe()
		if err != nil {
			return nil, err
		}
		set.Stamp = state{seen, sum}
		s.served.Store(true)
		return set, nil
	}
	return nil, i18n.Errorf("the files in %s keep changing while they are read", dir)
}

// parse makes a set. If every file is empty there is none: some operators remove keys
// that way.
func parse(reference string, seen stamp, material keys.Material, previous *keys.Set) (*keys.Set, error) {
	set, err := keys.Parse(reference, seen.version(), material)
	if errors.Is(err, keys.ErrEmpty) {
		return nil, i18n.Errorf("%w: %w", keys.ErrUnknown, err)
	}
	if err != nil {
		return nil, err
	}
	if err := set.Lost(previous); err != nil {
		return nil, err
	}
	return set, nil
}

// state is what a set remembers of the files that it was made of.
type state struct {
	files stamp
	sum   uint64
}

var seed = maphash.MakeSeed()

// digest returns a hash of all texts, with a key of this process, so that it reveals
// nothing outside of the process.
func digest(material keys.Material) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	for _, role := range slices.Sorted(maps.Keys(material)) {
		text := material[role].Text
		_, _ = fmt.Fprintf(&h, "%s %d\n", role, len(text))
		_, _ = h.Write(text)
	}
	return h.Sum64()
}

func read(dir string, seen stamp) (keys.Material, error) {
	material := make(keys.Material)
	for role := range seen {
		path := filepath.Join(dir, role.FileName())
		text, err := readFile(path)
		if err != nil {
			return nil, &keys.BrokenError{Err: i18n.Errorf("reading the %s key: %w", role, err)}
		}
		material[role] = keys.Value{Text: text, Origin: "file " + path}
	}
	return material, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	// A buffer that fits: one that grows leaves copies of the key behind.
	text := make([]byte, min(info.Size(), maxFile)+1)
	n := 0
	for n < len(text) && err == nil {
		var more int
		more, err = f.Read(text[n:])
		n += more
	}
	switch {
	case err == nil && n > maxFile:
		return nil, i18n.Errorf("%s is larger than %d bytes, which no key is", path, maxFile)
	case err == nil:
		return nil, i18n.Errorf("%s has grown while it was read", path)
	case !errors.Is(err, io.EOF):
		return nil, err
	}
	return text[:n:n], nil
}
