// Command package packs a binary that xcaddy.sh has built: as an OCI image, or
// as a .deb and an .rpm. It needs no container engine and no packaging tools.
//
//	package image   -binary FILE -version V -o FILE [-debian]
//	package package -binary FILE -documentation FILE -version V -o DIR
//
// Run it from the top of the repository: ./xcaddy.sh image and ./xcaddy.sh package do.
// It is a separate Go module, so that its libraries are not among the product's.
package main

import (
	"debug/elf"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"time"
)

// options are what the command line asks for.
type options struct {
	binary        string // what is packed
	documentation string // the same program for this machine, which writes its man pages
	version       string // a semantic version with a v
	output        string // a file for an image, a directory for packages
	debian        bool   // with the libraries that the binary loads, from Debian
	arch          string // of the binary, as Go names it
	time          time.Time
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "package:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("say what to make: image or package")
	}
	var o options
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.StringVar(&o.binary, "binary", "", "the program to pack")
	flags.StringVar(&o.documentation, "documentation", "", "the same program, for this machine")
	flags.StringVar(&o.version, "version", "v0.0.0-unknown", "its version")
	flags.StringVar(&o.output, "o", "", "where to write")
	flags.BoolVar(&o.debian, "debian", false, "add the libraries that the program loads, from Debian's packages")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	var err error
	if o.arch, err = architecture(o.binary); err != nil {
		return err
	}
	if o.time, err = sourceDate(); err != nil {
		return err
	}
	switch args[0] {
	case "image":
		return writeImage(o)
	case "package":
		return writePackages(o)
	}
	return fmt.Errorf("unknown command %q: it is image or package", args[0])
}

// architecture returns what a Linux binary runs on, as Go names it.
func architecture(binary string) (string, error) {
	file, err := elf.Open(binary)
	if err != nil {
		return "", fmt.Errorf("reading the program %s: %w", binary, err)
	}
	defer file.Close()
	switch file.Machine {
	case elf.EM_X86_64:
		return "amd64", nil
	case elf.EM_AARCH64:
		return "arm64", nil
	}
	return "", fmt.Errorf("%s is for %v; only amd64 and arm64 are packed", binary, file.Machine)
}

// sourceDate returns the time that everything packed bears: SOURCE_DATE_EPOCH in
// seconds, as reproducible builds have it, or 1980, so that one binary gives one
// image.
func sourceDate() (time.Time, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		return time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC), nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH is not a number of seconds: %w", err)
	}
	return time.Unix(seconds, 0).UTC(), nil
}
