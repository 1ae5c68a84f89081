package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	classifier "github.com/google/licenseclassifier/v2"
	"github.com/google/licenseclassifier/v2/assets"
)

// allowed are the licences under which code may be in a binary that is handed
// out under Apache-2.0: each asks for no more than that its text goes along,
// MPL-2.0 also for the source of its own files, which is public, OFL-1.1 that
// its fonts keep their name. Anything else needs somebody's decision; the
// Business Source License of Vault's server is never in the binary.
var allowed = map[string]bool{
	"0BSD":         true,
	"Apache-2.0":   true,
	"BSD-2-Clause": true,
	"BSD-3-Clause": true,
	"CC0-1.0":      true,
	"ISC":          true,
	"MIT":          true,
	"MPL-2.0":      true,
	"OFL-1.1":      true,
	"Unlicense":    true,
	"Zlib":         true,
}

// licenseClassifier tells licences by their whole text. A sentence that somebody
// adds to a known text goes unseen, unless it is a known one itself, such as the
// Commons Clause.
type licenseClassifier struct{ *classifier.Classifier }

func newClassifier() (licenseClassifier, error) {
	c, err := assets.DefaultClassifier()
	if err != nil {
		return licenseClassifier{}, fmt.Errorf("loading the texts of the known licences: %w", err)
	}
	return licenseClassifier{c}, nil
}

// licensesIn returns the licences that the files at the top of dir hold, each
// once, in order. A file that holds none that is known makes the result empty:
// what is not understood is not allowed.
func (c licenseClassifier) licensesIn(dir string) ([]string, error) {
	files, err := licenseFiles(dir)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading the licence: %w", err)
		}
		found := c.licenses(text)
		if len(found) == 0 {
			return nil, nil
		}
		all = append(all, found...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// licenses returns the licences in a text.
func (c licenseClassifier) licenses(text []byte) []string {
	var found []string
	for _, match := range c.Match(text).Matches {
		if match.MatchType == "License" || match.MatchType == "Header" {
			found = append(found, match.Name)
		}
	}
	return found
}

// writeLicenses prints a line for each module, and fails if one of them has a
// licence that is not allowed or none that is known.
func writeLicenses(out io.Writer, modules []module) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MODULE\tVERSION\tLICENCE")
	var refused []string
	for _, m := range modules {
		fmt.Fprintf(table, "%s\t%s\t%s\n", m.path, m.version, m.expression())
		if !m.shippable() {
			refused = append(refused, fmt.Sprintf("%s@%s (%s)", m.path, m.version, m.expression()))
		}
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("printing the licences: %w", err)
	}
	if len(refused) > 0 {
		return errors.New("not on the list of licences that may be shipped: " + strings.Join(refused, ", "))
	}
	return nil
}

// expression joins the licences to an SPDX expression. Where a module offers a
// choice it claims all of them, which asks for more than is needed, never less.
func (m module) expression() string {
	if len(m.licenses) == 0 {
		return "unknown"
	}
	return strings.Join(m.licenses, " AND ")
}

// shippable reports whether every licence of the module is allowed.
func (m module) shippable() bool {
	return len(m.licenses) > 0 && !slices.ContainsFunc(m.licenses, func(l string) bool { return !allowed[l] })
}
