package vaulttest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// ReadSet reads a key set of the file source, a folder, as the fields of the
// secret that holds the same set.
func ReadSet(dir string) (map[string]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("reading a key set: %w", err)
	}
	fields := make(map[string]string)
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("reading a key set: %w", err)
		}
		fields[strings.TrimSuffix(entry.Name(), ".pem")] = string(text)
	}
	return fields, nil
}
