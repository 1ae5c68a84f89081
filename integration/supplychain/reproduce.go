package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// reproduce builds the checkout and a copy of it in another directory, and
// fails if the two binaries differ.
func reproduce(ctx context.Context, checkout string, out io.Writer) error {
	dir, err := os.MkdirTemp("", "supplychain")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	second := filepath.Join(dir, "a second checkout")
	if err := copySources(ctx, checkout, second); err != nil {
		return err
	}
	digests := make([]string, 0, 2)
	for i, source := range []string{checkout, second} {
		binary := filepath.Join(dir, fmt.Sprintf("caddy-%d", i))
		// The copy has no history that git could name a version by.
		if err := build(ctx, source, binary, "COUNTERSIGN_VERSION=v0.0.0-reproducible"); err != nil {
			return err
		}
		digest, err := digestOf(binary)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s  build %d\n", digest, i+1)
		digests = append(digests, digest)
	}
	if digests[0] != digests[1] {
		return fmt.Errorf("the same sources built twice give two binaries")
	}
	return nil
}

// copySources copies the files that git knows of, or would take.
func copySources(ctx context.Context, from, to string) error {
	cmd := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
	cmd.Dir = from
	list, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("listing the sources: %w", err)
	}
	for _, name := range strings.FieldsFunc(string(list), func(r rune) bool { return r == 0 }) {
		if err := copyFile(filepath.Join(from, name), filepath.Join(to, name)); err != nil {
			return fmt.Errorf("copying the sources: %w", err)
		}
	}
	return nil
}

func copyFile(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, content, info.Mode().Perm())
}

// digestOf returns the SHA-256 of a file, in hex.
func digestOf(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", fmt.Errorf("reading %s: %w", file, err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
