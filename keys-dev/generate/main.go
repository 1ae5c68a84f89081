// Command generate makes the development keys of keys-dev: both sides of every
// provider that the quickstart serves, and the list of their fingerprints by
// which the product knows them again.
//
//	go run ./keys-dev/generate
//
// It replaces every key. Nothing outside this repository may depend on one.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	keysDir := flag.String("keys", "keys-dev", "directory that gets merchant/ and provider/")
	listFile := flag.String("list", filepath.Join("module", "keys", "devkeys", "devkeys.go"), "Go file that gets the fingerprints")
	flag.Parse()
	if err := generate(*keysDir, *listFile); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

// generate writes the key files of every set below keysDir, and their
// fingerprints to listFile.
func generate(keysDir, listFile string) error {
	var known []fingerprint
	for _, set := range sets {
		made, err := set.write(keysDir)
		if err != nil {
			return fmt.Errorf("making the keys of %s: %w", set.reference, err)
		}
		known = append(known, made...)
	}
	return writeList(listFile, known)
}
