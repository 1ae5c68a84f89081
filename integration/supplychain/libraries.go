package main

import (
	"debug/buildinfo"
	"debug/elf"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// cLibrary matches the parts of the system's C library, which every program
// shares with it.
var cLibrary = regexp.MustCompile(`^(lib(c|m|dl|rt|pthread|resolv)|ld-linux[-\w]*|ld64)\.`)

// systemLibraries returns what the binary does not hold but loads. The usual
// flavour loads nothing; --fast-rsa looks for OpenSSL's libcrypto when it runs.
func systemLibraries(binary string, info *buildinfo.BuildInfo) ([]module, error) {
	file, err := elf.Open(binary)
	if format := (*elf.FormatError)(nil); errors.As(err, &format) {
		return nil, nil // another system's binary; there is one flavour only
	}
	if err != nil {
		return nil, fmt.Errorf("looking for what %s loads: %w", binary, err)
	}
	defer file.Close()
	names, err := file.ImportedLibraries()
	if err != nil {
		return nil, fmt.Errorf("looking for what %s loads: %w", binary, err)
	}
	for _, setting := range info.Settings {
		if setting.Key == "-tags" && slices.Contains(strings.Split(setting.Value, ","), "fastrsa") {
			names = append(names, "libcrypto.so.3")
		}
	}
	return describeLibraries(names), nil
}

// describeLibraries names the libraries as modules. Which release of version 3 of
// OpenSSL is loaded the machine decides. The licence of any other one is not known here, and so not allowed.
func describeLibraries(names []string) []module {
	var out []module
	for _, name := range names {
		switch {
		case cLibrary.MatchString(name):
		case name == "libcrypto.so.3":
			out = append(out, module{path: "libcrypto", version: "3", system: true, licenses: []string{"Apache-2.0"}})
		default:
			out = append(out, module{path: name, system: true})
		}
	}
	return out
}
