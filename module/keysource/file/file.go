// Package file is the key source that reads a folder: a folder for each
// reference in it, and in that a file for each role.
package file

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/countersign/caddy-countersign/module/keys"
	"github.com/countersign/caddy-countersign/module/keysource"
)

func init() {
	caddy.RegisterModule(new(Source))
}

// maxFile is the largest key file that is read, in bytes.
const maxFile = 256 << 10

// Source reads key sets from files: <dir>/<reference>/<role>.pem for the roles
// sign, verify, encrypt and decrypt, and <dir>/<reference>/secret and
// verify_secret.
//
// A file holds PEM (PKCS#8, PKCS#1, PKIX or a certificate) or the bare Base64
// that providers hand out; verify and decrypt may hold several PEM blocks.
// Changed files are taken up while serving. A file that is half-written or
// wrong keeps the old set in use, and the log says so.
type Source struct {
	// The folder. Required.
	Dir string `json:"dir"`

	// The name of the source. The default source has none.
	Name string `json:"name,omitempty"`

	// How often the files are looked at. Default: 1s.
	Refresh caddy.Duration `json:"refresh,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Source) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "countersign.keys.file",
		New: func() caddy.Module { return new(Source) },
	}
}

// UnmarshalCaddyfile sets up the source from Caddyfile tokens. Syntax:
//
//	keys file <dir> {
//	    name    <name>
//	    refresh <duration>
//	}
func (s *Source) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the word "file"
	if !d.AllArgs(&s.Dir) {
		return d.Err("keys file takes exactly one folder")
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		var value string
		if !d.AllArgs(&value) {
			return d.Errf("%s takes exactly one value", option)
		}
		switch option {
		case "name":
			if s.Name != "" {
				return d.Err("name is given twice")
			}
			s.Name = value
		case "refresh":
			if s.Refresh != 0 {
				return d.Err("refresh is given twice")
			}
			every, err := caddy.ParseDuration(value)
			if err != nil || every <= 0 {
				return d.Errf("refresh must be a duration such as 1s, not %q", value)
			}
			s.Refresh = caddy.Duration(every)
		default:
			return d.Errf("unknown option %q of keys file; it has name and refresh", option)
		}
	}
	return nil
}

// Provision fills in the defaults.
func (s *Source) Provision(caddy.Context) error {
	dir, err := caddy.NewReplacer().ReplaceOrErr(s.Dir, true, true)
	if err != nil {
		return fmt.Errorf("the folder of the key files: %w", err)
	}
	s.Dir = dir
	if s.Refresh == 0 {
		s.Refresh = caddy.Duration(time.Second)
	}
	return nil
}

// Validate checks the configuration. The folder need not be there yet.
func (s *Source) Validate() error {
	if s.Dir == "" {
		return errors.New("keys file needs a folder")
	}
	return nil
}

// Terms are the source's name and how its sets are kept: without a limit of
// age, because the last good files are as good as ever.
func (s *Source) Terms() keysource.Terms {
	return keysource.Terms{Name: s.Name, Kind: "file", Refresh: time.Duration(s.Refresh)}
}

// Probe reports whether the folder is there.
func (s *Source) Probe(context.Context) error {
	info, err := os.Stat(s.Dir)
	if err != nil {
		return fmt.Errorf("looking at the folder of the key files: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is no folder; keys file needs the folder that holds the key sets", s.Dir)
	}
	return nil
}

// Load reads the files of a reference, or returns previous if none changed. It
// reads until two looks at the files agree, so that it never mixes the files
// of two versions when a folder is swapped.
//
// A file that is written twice within one tick of the file system's clock can
// look the same. So files that look the same are read again while they are
// young.
func (s *Source) Load(_ context.Context, reference string, previous *keys.Set) (*keys.Set, error) {
	dir := filepath.Join(s.Dir, filepath.FromSlash(reference))
	seen, err := look(dir)
	if err != nil {
		return nil, err
	}
	var before state
	if previous != nil {
		before, _ = previous.Stamp.(state)
		if before.files.equal(seen) && time.Since(seen.newest()) > time.Second+2*time.Duration(s.Refresh) {
			return previous, nil
		}
	}
	for range 5 {
		material, err := read(dir, seen)
		if err != nil {
			return nil, err
		}
		again, err := look(dir)
		if err != nil {
			return nil, err
		}
		if !seen.equal(again) {
			seen = again
			continue
		}
		sum := digest(material)
		if before.files.equal(seen) && before.sum == sum {
			return previous, nil
		}
		set, err := keys.Parse(reference, seen.version(), material)
		if err == nil {
			err = set.Lost(previous)
		}
		if err != nil {
			return nil, err
		}
		set.Stamp = state{seen, sum}
		return set, nil
	}
	return nil, fmt.Errorf("the files in %s keep changing while they are read", dir)
}

// state is what a set remembers of the files that it was made of.
type state struct {
	files stamp
	sum   uint64
}

var seed = maphash.MakeSeed()

// digest tells one state of all texts from another, and outside of this process
// it tells nothing.
func digest(material keys.Material) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	for _, role := range keys.Roles {
		text := material[role].Text
		_, _ = fmt.Fprintf(&h, "%s %d\n", role, len(text))
		_, _ = h.Write(text)
	}
	return h.Sum64()
}

// stamp is what the file system tells of a reference's files.
type stamp map[keys.Role]fs.FileInfo

func (s stamp) equal(t stamp) bool {
	if len(s) != len(t) {
		return false
	}
	for role, a := range s {
		b, ok := t[role]
		if !ok || !os.SameFile(a, b) || a.Size() != b.Size() || !a.ModTime().Equal(b.ModTime()) {
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

func fileName(role keys.Role) string {
	if role == keys.SharedSecret || role == keys.VerifySecret {
		return string(role)
	}
	return string(role) + ".pem"
}

// look finds the files of a reference. It follows symbolic links, which is how
// Kubernetes swaps all files of a mounted Secret at once.
func look(dir string) (stamp, error) {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && !info.IsDir():
		return nil, fmt.Errorf("%w: there is no folder %s", keys.ErrUnknown, dir)
	case err != nil:
		return nil, fmt.Errorf("looking at the key files: %w", err)
	}
	seen := make(stamp)
	for _, role := range keys.Roles {
		info, err := os.Stat(filepath.Join(dir, fileName(role)))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, fmt.Errorf("looking at the key files: %w", err)
		case !info.Mode().IsRegular():
			return nil, fmt.Errorf("%s is not a regular file", filepath.Join(dir, fileName(role)))
		default:
			seen[role] = info
		}
	}
	if len(seen) == 0 {
		return nil, fmt.Errorf("the folder %s holds no key; it may hold sign.pem, verify.pem, encrypt.pem, decrypt.pem, secret and verify_secret", dir)
	}
	return seen, nil
}

func read(dir string, seen stamp) (keys.Material, error) {
	material := make(keys.Material)
	for role := range seen {
		path := filepath.Join(dir, fileName(role))
		text, err := readFile(path)
		if err != nil {
			return nil, fmt.Errorf("reading the %s key: %w", role, err)
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
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes, which no key is", path, maxFile)
	}
	return text, nil
}

var (
	_ keysource.Source      = (*Source)(nil)
	_ caddy.Provisioner     = (*Source)(nil)
	_ caddy.Validator       = (*Source)(nil)
	_ caddyfile.Unmarshaler = (*Source)(nil)
)
