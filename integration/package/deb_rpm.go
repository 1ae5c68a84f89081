package main

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb" // registers the format
	"github.com/goreleaser/nfpm/v2/files"
	_ "github.com/goreleaser/nfpm/v2/rpm" // registers the format
)

// source is where the files of the packages are, from the top of the repository.
const source = "integration/package/files"

// writePackages writes a .deb and an .rpm.
func writePackages(o options) error {
	generated, err := os.MkdirTemp("", "countersign-package")
	if err != nil {
		return err
	}
	defer os.RemoveAll(generated)
	if err := document(o.documentation, generated); err != nil {
		return err
	}
	if err := os.MkdirAll(o.output, 0o755); err != nil {
		return err
	}
	for _, format := range []string{"deb", "rpm"} {
		path, err := writePackage(o, format, generated)
		if err != nil {
			return fmt.Errorf("making the .%s: %w", format, err)
		}
		fmt.Println(path)
	}
	return nil
}

func writePackage(o options, format, generated string) (string, error) {
	packager, err := nfpm.Get(format)
	if err != nil {
		return "", err
	}
	name, depends, err := flavour(o.binary, format)
	if err != nil {
		return "", err
	}
	info := nfpm.WithDefaults(&nfpm.Info{
		Name:        name,
		Arch:        o.arch,
		Platform:    "linux",
		Version:     o.version,
		Section:     "web",
		Maintainer:  "caddy-countersign <https://github.com/countersign/caddy-countersign>",
		Description: "Signing sidecar for payment APIs\nCaddy that signs, encrypts and verifies what goes to payment providers.",
		Homepage:    "https://github.com/countersign/caddy-countersign",
		License:     "Apache-2.0",
		MTime:       o.time,
		Overridables: nfpm.Overridables{
			// It is a Caddy, with everything that Debian's has.
			Provides: others(name), Conflicts: others(name), Replaces: others(name),
			Depends:    depends,
			Recommends: []string{"ca-certificates"},
			Contents:   contents(o.binary, generated),
			Scripts:    nfpm.Scripts{PostInstall: source + "/postinstall.sh", PreRemove: source + "/preremove.sh", PostRemove: source + "/postremove.sh"},
		},
	})
	if err := nfpm.PrepareForPackager(info, format); err != nil {
		return "", err
	}
	path := filepath.Join(o.output, packager.ConventionalFileName(info))
	file, err := os.Create(path)
	if err != nil {
		return "", err
	}
	if err := packager.Package(info, file); err != nil {
		file.Close()
		return "", err
	}
	return path, file.Close()
}

// flavour returns the name of the package for a program, and what it needs: nothing if
// it is static. One that is not is made with --fast-rsa: it loads libcrypto when it
// runs, which no table in it tells.
func flavour(binary, format string) (name string, depends []string, err error) {
	file, err := elf.Open(binary)
	if err != nil {
		return "", nil, fmt.Errorf("reading the program %s: %w", binary, err)
	}
	defer file.Close()
	symbols, err := file.ImportedSymbols()
	if err != nil && !errors.Is(err, elf.ErrNoSymbols) {
		return "", nil, fmt.Errorf("reading what %s imports: %w", binary, err)
	}
	if len(symbols) == 0 {
		return static, nil, nil
	}
	newest := [2]int{}
	for _, symbol := range symbols {
		var v [2]int
		if n, _ := fmt.Sscanf(symbol.Version, "GLIBC_%d.%d", &v[0], &v[1]); n == 2 && slices.Compare(newest[:], v[:]) < 0 {
			newest = v
		}
	}
	if format == "deb" {
		return static + "-fast-rsa", []string{fmt.Sprintf("libc6 (>= %d.%d)", newest[0], newest[1]), "libssl3t64 | libssl3"}, nil
	}
	return static + "-fast-rsa", []string{fmt.Sprintf("libc.so.6(GLIBC_%d.%d)(64bit)", newest[0], newest[1]), "libcrypto.so.3()(64bit)"}, nil
}

// static is the name of the package of a static program.
const static = "caddy-countersign"

// others returns the packages whose place a package takes.
func others(name string) []string {
	if name == static {
		return []string{"caddy", static + "-fast-rsa"}
	}
	return []string{"caddy", static}
}

func contents(binary, generated string) files.Contents {
	plain := func(from, to string, mode os.FileMode) *files.Content {
		return &files.Content{Source: from, Destination: to, FileInfo: &files.ContentFileInfo{Mode: mode}}
	}
	all := files.Contents{
		plain(binary, "/usr/bin/caddy", 0o755),
		plain(source+"/countersign.service", "/usr/lib/systemd/system/countersign.service", 0o644),
		plain(source+"/countersign.socket", "/usr/lib/systemd/system/countersign.socket", 0o644),
		plain(source+"/sysusers.conf", "/usr/lib/sysusers.d/countersign.conf", 0o644),
		plain(source+"/key-sets", "/usr/lib/countersign/key-sets", 0o755),
		plain("LICENSE", "/usr/share/doc/caddy-countersign/copyright", 0o644),
		{Source: source + "/Caddyfile", Destination: "/etc/countersign/Caddyfile", Type: files.TypeConfigNoReplace, FileInfo: &files.ContentFileInfo{Mode: 0o644}},
		{Destination: "/etc/countersign", Type: files.TypeDir, FileInfo: &files.ContentFileInfo{Mode: 0o755}},
		{Destination: "/etc/countersign/providers", Type: files.TypeDir, FileInfo: &files.ContentFileInfo{Mode: 0o755}},
		// Its folders are listed by the service, its files are read by root.
		{Destination: "/etc/countersign/keys", Type: files.TypeDir, FileInfo: &files.ContentFileInfo{Mode: 0o755}},
		plain(generated+"/caddy.bash", "/usr/share/bash-completion/completions/caddy", 0o644),
		plain(generated+"/_caddy", "/usr/share/zsh/site-functions/_caddy", 0o644),
		plain(generated+"/caddy.fish", "/usr/share/fish/vendor_completions.d/caddy.fish", 0o644),
	}
	pages, _ := filepath.Glob(filepath.Join(generated, "*.8")) // the pattern is right
	for _, page := range pages {
		all = append(all, plain(page, "/usr/share/man/man8/"+filepath.Base(page), 0o644))
	}
	return all
}

// document has Caddy write its man pages and completions into dir. Caddy keeps
// nothing of its own where HOME says.
func document(program, dir string) error {
	if err := caddy(program, dir, "manpage", "--directory", dir); err != nil {
		return err
	}
	if pages, err := filepath.Glob(filepath.Join(dir, "*.8")); err != nil || len(pages) == 0 {
		return fmt.Errorf("%s manpage wrote no page: %w", program, err)
	}
	for shell, file := range map[string]string{"bash": "caddy.bash", "zsh": "_caddy", "fish": "caddy.fish"} {
		command := exec.Command(program, "completion", shell)
		text, err := command.Output()
		if err != nil || !strings.Contains(string(text), "caddy") {
			return fmt.Errorf("making the completion for %s: %w", shell, err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func caddy(program, home string, args ...string) error {
	command := exec.Command(program, args...)
	command.Env = append(os.Environ(), "HOME="+home)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("running %s %s: %w\n%s", program, strings.Join(args, " "), err, output)
	}
	return nil
}
