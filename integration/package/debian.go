package main

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// libraryPackages may hold what the program loads. Not every release of Debian
// has all of them.
var libraryPackages = []string{"libc6", "libssl3", "libssl3t64", "zlib1g", "libzstd1"}

// addDebian adds the libraries that the program loads and the certificate
// authorities, out of packages that apt-get downloads and checks. Nothing is
// installed on this machine.
func addDebian(t tree, o options) error {
	dir, err := os.MkdirTemp("", "countersign-debian")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := download(dir, "ca-certificates", o.arch, "all"); err != nil {
		return err
	}
	for _, name := range libraryPackages {
		if err := download(dir, name, o.arch, o.arch); err != nil && name == "libc6" {
			return err
		}
	}
	packages, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil {
		return err
	}
	root := filepath.Join(dir, "root")
	for _, file := range packages {
		if output, err := exec.Command("dpkg-deb", "-x", file, root).CombinedOutput(); err != nil {
			return fmt.Errorf("unpacking %s: %w\n%s", filepath.Base(file), err, output)
		}
	}
	if err := addAuthorities(t, filepath.Join(root, "usr/share/ca-certificates/mozilla")); err != nil {
		return err
	}
	return addLibraries(t, root, o.binary)
}

// download gets a package for an architecture into dir.
func download(dir, name, arch, packaged string) error {
	wanted := name
	if packaged != "all" {
		wanted += ":" + arch
	}
	command := exec.Command("apt-get", "download", "-qq", wanted)
	command.Dir = dir
	if os.Geteuid() == 0 {
		// apt's own user may not write to a directory that is root's alone.
		command.Args = append(command.Args, "-o", "APT::Sandbox::User=root")
	}
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("downloading Debian's package %s: %w; run `apt-get update`\n%s", wanted, err, output)
	}
	return nil
}

// addAuthorities joins the certificates to one file, as the package does when it
// is installed.
func addAuthorities(t tree, dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.crt"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return errors.New("Debian's package ca-certificates holds no certificates where they are expected")
	}
	var all []byte
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		all = append(append(all, content...), '\n')
	}
	t[certificates] = treeFile{all, 0o644}
	return nil
}

// addLibraries adds what the program loads when it starts, what that loads, and
// the loader, each where the loader looks.
func addLibraries(t tree, root, program string) error {
	found := map[string]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && strings.Contains(entry.Name(), ".so") {
			found[entry.Name()] = path
		}
		return err
	})
	if err != nil {
		return err
	}
	loader, wanted, err := needs(program)
	if err != nil {
		return err
	}
	if loader == "" {
		return fmt.Errorf("%s loads nothing: it is not the flavour --fast-rsa", program)
	}
	wanted = append(wanted, filepath.Base(loader), "libcrypto.so.3")
	for len(wanted) > 0 {
		name := wanted[0]
		wanted = wanted[1:]
		target := "usr/lib/" + name
		if name == filepath.Base(loader) {
			target = strings.TrimPrefix(loader, "/")
		}
		if _, is := t[target]; is {
			continue
		}
		path, is := found[name]
		if !is {
			return fmt.Errorf("the program loads %s, which is in none of Debian's packages %s", name, strings.Join(libraryPackages, ", "))
		}
		content, err := os.ReadFile(path) // through the link to a file with a version in its name
		if err != nil {
			return err
		}
		t[target] = treeFile{content, 0o755}
		_, more, err := needs(path)
		if err != nil {
			return err
		}
		wanted = append(wanted, more...)
	}
	return nil
}

// needs returns the loader that a program names and the libraries that it, or a
// library, loads.
func needs(path string) (loader string, libraries []string, err error) {
	file, err := elf.Open(path)
	if err != nil {
		return "", nil, fmt.Errorf("reading what %s loads: %w", path, err)
	}
	defer file.Close()
	for _, part := range file.Progs {
		if part.Type == elf.PT_INTERP {
			text := make([]byte, part.Filesz)
			if _, err := part.ReadAt(text, 0); err != nil {
				return "", nil, fmt.Errorf("reading the loader of %s: %w", path, err)
			}
			loader = strings.TrimRight(string(text), "\x00")
		}
	}
	libraries, err = file.ImportedLibraries()
	return loader, libraries, err
}
