package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	// user is a number, because Kubernetes' runAsNonRoot cannot look up a name.
	user = 65532

	certificates = "etc/ssl/certs/ca-certificates.crt"

	// The garbage collector runs when the heap has grown to five times of what
	// is in use, and as often as it takes to stay under 230 MiB, which is nine
	// tenths of the 256 MiB that integration/kubernetes gives a container. A
	// container of another size sets GOMEMLIMIT.
	gcPercent   = "GOGC=400"
	memoryLimit = "GOMEMLIMIT=230MiB"
)

// tree is what a layer holds: the content of files by their path without a
// leading slash.
type tree map[string]treeFile

type treeFile struct {
	content []byte
	mode    int64
}

// writeImage writes an image in the OCI layout, as a tar file: one layer with
// what the program needs, and one with the program.
func writeImage(o options) error {
	base := tree{
		"etc/passwd": {fmt.Appendf(nil, "countersign:x:%d:%d::/run/countersign:/sbin/nologin\n", user, user), 0o644},
		"etc/group":  {fmt.Appendf(nil, "countersign:x:%d:\n", user), 0o644},
	}
	add := addHostCertificates
	if o.debian {
		add = func(t tree) error { return addDebian(t, o) }
	}
	if err := add(base); err != nil {
		return err
	}
	program, err := os.ReadFile(o.binary)
	if err != nil {
		return err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, t := range []tree{base, {"usr/bin/caddy": {program, 0o755}}} {
		layer, err := t.layer(o.time)
		if err != nil {
			return fmt.Errorf("making a layer: %w", err)
		}
		if image, err = mutate.AppendLayers(image, layer); err != nil {
			return fmt.Errorf("adding a layer: %w", err)
		}
	}
	image, err = configure(image, o)
	if err != nil {
		return fmt.Errorf("configuring the image: %w", err)
	}
	return save(image, o)
}

func configure(image v1.Image, o options) (v1.Image, error) {
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = "linux", o.arch, v1.Time{Time: o.time}
	config.Config = v1.Config{
		User:       fmt.Sprintf("%d:%d", user, user),
		WorkingDir: "/etc/countersign",
		Entrypoint: []string{"/usr/bin/caddy"},
		Cmd:        []string{"run", "--config", "/etc/countersign/Caddyfile"},
		Env: []string{
			"PATH=/usr/bin", "HOME=/run/countersign",
			"XDG_CONFIG_HOME=/run/countersign/config", "XDG_DATA_HOME=/run/countersign/data",
			gcPercent, memoryLimit,
		},
		ExposedPorts: map[string]struct{}{"8081/tcp": {}}, // readiness and metrics; the signing port stays inside
		Labels: map[string]string{
			"org.opencontainers.image.title":       "caddy-countersign",
			"org.opencontainers.image.description": "Caddy that signs, encrypts and verifies what goes to payment providers",
			"org.opencontainers.image.source":      "https://github.com/countersign/caddy-countersign",
			"org.opencontainers.image.licenses":    "Apache-2.0",
			"org.opencontainers.image.version":     strings.TrimPrefix(o.version, "v"),
		},
	}
	return mutate.ConfigFile(image, config)
}

// layer packs the files, with the directories that they are in. Caddy may write
// below /run/countersign alone.
func (t tree) layer(when time.Time) (v1.Layer, error) {
	directories := map[string]bool{}
	for name := range t {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			directories[dir] = true
		}
	}
	if _, base := t["etc/passwd"]; base {
		directories["etc/countersign"], directories["run"], directories["run/countersign"] = true, true, true
	}
	var names []string
	for dir := range directories {
		names = append(names, dir+"/")
	}
	for name := range t {
		names = append(names, name)
	}
	slices.Sort(names)

	var packed bytes.Buffer
	archive := tar.NewWriter(&packed)
	for _, name := range names {
		header := &tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o755, ModTime: when, Format: tar.FormatPAX}
		if name == "run/countersign/" {
			header.Mode, header.Uid, header.Gid = 0o700, user, user
		}
		if file, is := t[name]; is {
			header.Typeflag, header.Mode, header.Size = tar.TypeReg, file.mode, int64(len(file.content))
		}
		if err := archive.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := archive.Write(t[name].content); err != nil {
			return nil, err
		}
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(packed.Bytes())), nil
	}, tarball.WithMediaType(types.OCILayer))
}

// save writes the image's OCI layout into a tar file, and beside it the list of
// contents that docker load reads, which calls the image caddy-countersign.
func save(image v1.Image, o options) error {
	dir, err := os.MkdirTemp("", "countersign-image")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	files, err := layout.Write(dir, empty.Index)
	if err != nil {
		return fmt.Errorf("writing the image: %w", err)
	}
	tag := strings.NewReplacer("+", "-").Replace(strings.TrimPrefix(o.version, "v"))
	name := layout.WithAnnotations(map[string]string{
		"org.opencontainers.image.ref.name": tag,
		"io.containerd.image.name":          "docker.io/library/caddy-countersign:latest",
	})
	platform := layout.WithPlatform(v1.Platform{OS: "linux", Architecture: o.arch})
	if err := files.AppendImage(image, name, platform); err != nil {
		return fmt.Errorf("writing the image: %w", err)
	}
	if err := writeDockerManifest(dir, image, tag); err != nil {
		return fmt.Errorf("writing the image for docker load: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(o.output), 0o755); err != nil {
		return err
	}
	if err := archiveDir(dir, o.output, o.time); err != nil {
		return fmt.Errorf("writing %s: %w", o.output, err)
	}
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	fmt.Printf("%s  linux/%s  %s\n", o.output, o.arch, digest)
	return nil
}

// writeDockerManifest writes manifest.json into an OCI layout, as docker save does:
// engines that know no OCI layout find the same blobs by it.
func writeDockerManifest(dir string, image v1.Image, tag string) error {
	blob := func(digest v1.Hash) string { return path.Join("blobs", digest.Algorithm, digest.Hex) }
	manifest, err := image.Manifest()
	if err != nil {
		return err
	}
	entry := struct {
		Config   string
		RepoTags []string
		Layers   []string
	}{blob(manifest.Config.Digest), []string{"caddy-countersign:latest", "caddy-countersign:" + tag}, nil}
	for _, layer := range manifest.Layers {
		entry.Layers = append(entry.Layers, blob(layer.Digest))
	}
	content, err := json.Marshal([]any{entry})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "manifest.json"), content, 0o600)
}

// archiveDir writes the files of a directory into a tar file.
func archiveDir(dir, output string, when time.Time) (err error) {
	file, err := os.Create(output)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	archive := tar.NewWriter(file)
	err = filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		relative, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		header := &tar.Header{Name: filepath.ToSlash(relative), Mode: 0o644, Size: int64(len(content)), ModTime: when, Typeflag: tar.TypeReg}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		_, err = archive.Write(content)
		return err
	})
	return errors.Join(err, archive.Close())
}

// addHostCertificates adds the certificate authorities of this machine.
func addHostCertificates(t tree) error {
	for _, file := range []string{os.Getenv("SSL_CERT_FILE"), "/" + certificates, "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"} {
		if content, err := os.ReadFile(file); err == nil && len(content) > 0 {
			t[certificates] = treeFile{content, 0o644}
			return nil
		}
	}
	return errors.New("no certificate authorities are on this machine: install them (Debian: apt-get install ca-certificates), or name a file in SSL_CERT_FILE")
}
