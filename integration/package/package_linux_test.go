package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const repository = "../.."

// need skips a test where a command is missing.
func need(t *testing.T, commands ...string) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds Caddy, which takes minutes the first time")
	}
	for _, command := range commands {
		if _, err := exec.LookPath(command); err != nil {
			t.Skipf("%s is not on PATH", command)
		}
	}
}

// output runs a command in dir and returns what it prints.
func output(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, args...)
	command.Dir = dir
	command.Env = append(os.Environ(), "STORAGE_DRIVER=vfs", "BUILDAH_ISOLATION=chroot", "COUNTERSIGN_VERSION=v1.2.3")
	text, err := command.CombinedOutput()
	require.NoError(t, err, "%s %s\n%s", name, strings.Join(args, " "), text)
	return string(text)
}

// unpackDeb builds the packages and unpacks the .deb.
func unpackDeb(t *testing.T, flavour ...string) (root, deb string) {
	t.Helper()
	need(t, "dpkg-deb")
	dir := t.TempDir()
	output(t, repository, "./xcaddy.sh", append([]string{"package", "-o", dir}, flavour...)...)
	root = filepath.Join(dir, "root")
	debs, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	require.NoError(t, err)
	require.Len(t, debs, 1)
	output(t, dir, "dpkg-deb", "-x", debs[0], root)
	rpms, err := filepath.Glob(filepath.Join(dir, "*.rpm"))
	require.NoError(t, err)
	require.Len(t, rpms, 1)
	return root, debs[0]
}

func TestPackage(t *testing.T) {
	root, deb := unpackDeb(t)
	for _, file := range []string{
		"usr/bin/caddy", "etc/countersign/Caddyfile", "etc/countersign/keys", "etc/countersign/providers",
		"usr/lib/systemd/system/countersign.service", "usr/lib/systemd/system/countersign.socket", "usr/lib/sysusers.d/countersign.conf",
		"usr/share/man/man8/caddy-countersign.8", "usr/share/bash-completion/completions/caddy",
	} {
		_, err := os.Stat(filepath.Join(root, file))
		assert.NoError(t, err)
	}
	assert.Contains(t, output(t, root, "usr/bin/caddy", "version"), "v1.2.3")
	assert.Contains(t, output(t, root, "usr/bin/caddy", "list-modules", "--versions"), "http.handlers.countersign v1.2.3")
	t.Run("starts", func(t *testing.T) { startsAsAService(t, root) })
	assert.Equal(t, "caddy-countersign\n", output(t, ".", "dpkg-deb", "--field", deb, "Package"))
	assert.Empty(t, strings.TrimSpace(output(t, ".", "dpkg-deb", "--field", deb, "Depends")), "a static program needs nothing")
}

// The package in which OpenSSL computes says that it needs OpenSSL.
func TestPackageFastRSA(t *testing.T) {
	need(t, "gcc")
	root, deb := unpackDeb(t, "--fast-rsa")
	assert.Contains(t, output(t, root, "usr/bin/caddy", "build-info"), "fastrsa")
	assert.Equal(t, "caddy-countersign-fast-rsa\n", output(t, ".", "dpkg-deb", "--field", deb, "Package"))
	assert.Regexp(t, `^libc6 \(>= 2\.\d+\), libssl3t64 \| libssl3\n$`, output(t, ".", "dpkg-deb", "--field", deb, "Depends"))
	t.Run("starts", func(t *testing.T) { startsAsAService(t, root) })
}

// systemd gives the service at most 2.0 of 10 for what it could reach.
func TestUnitIsConfined(t *testing.T) {
	need(t, "systemd-analyze")
	unit := "files/countersign.service"
	text := output(t, ".", "systemd-analyze", "security", "--offline=true", "--no-pager", unit)
	found := regexp.MustCompile(`exposure level for \S+: ([0-9.]+)`).FindStringSubmatch(text)
	require.NotNil(t, found, text)
	exposure, err := strconv.ParseFloat(found[1], 64)
	require.NoError(t, err)
	assert.Less(t, exposure, 2.0)

	content, err := os.ReadFile(unit)
	require.NoError(t, err)
	for _, line := range []string{"LoadCredential=", "LimitCORE=0", "MemorySwapMax=0", "ProtectSystem=strict"} {
		assert.Contains(t, string(content), "\n"+line)
	}
}

// startsAsAService does what systemd would do of the unit: it hands over the
// files of the key sets as credentials, runs what is to run before, and passes
// the socket.
func startsAsAService(t *testing.T, root string) {
	need(t, "systemd-socket-activate")
	etc, run, credentials := filepath.Join(root, "etc/countersign"), t.TempDir(), t.TempDir()
	keys := filepath.Join(repository, "keys-dev/merchant")
	require.NoError(t, os.CopyFS(filepath.Join(etc, "keys"), os.DirFS(keys)))
	require.NoError(t, filepath.WalkDir(keys, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, _ := filepath.Rel(keys, path)
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(credentials, "keys_"+strings.ReplaceAll(name, "/", "_")), content, 0o400)
	}))
	probes, provider := freePort(t), freePort(t) // nothing listens at the provider's
	caddyfile := filepath.Join(etc, "Caddyfile")
	text, err := os.ReadFile(caddyfile)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(caddyfile, []byte(strings.Replace(string(text), "127.0.0.1:8081", "127.0.0.1:"+probes, 1)), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(etc, "providers/jeepay.caddyfile"), []byte(
		"handle_path /jeepay/* {\n\tcountersign jeepay 127.0.0.1:"+provider+" {\n\t\tkeys jeepay/M1623997351\n\t\tmch_no M1623997351\n\t}\n}\n"), 0o600))

	env := append(os.Environ(), "RUNTIME_DIRECTORY="+run, "CREDENTIALS_DIRECTORY="+credentials, "HOME="+run, "XDG_DATA_HOME="+run, "XDG_CONFIG_HOME="+run, "GOGC=400")
	before := exec.CommandContext(t.Context(), filepath.Join(root, "usr/lib/countersign/key-sets"), filepath.Join(etc, "keys"))
	before.Env = env
	said, err := before.CombinedOutput()
	require.NoError(t, err, "%s", said)

	socket := filepath.Join(run, "sign.sock")
	args := []string{"-l", socket}
	for _, name := range []string{"RUNTIME_DIRECTORY", "CREDENTIALS_DIRECTORY", "HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "GOGC"} {
		args = append(args, "-E", name) // it passes little else on
	}
	args = append(args, filepath.Join(root, "usr/bin/caddy"), "run", "--config", caddyfile, "--adapter", "caddyfile")
	service := exec.CommandContext(t.Context(), "systemd-socket-activate", args...)
	service.Env, service.Dir = env, etc
	var log bytes.Buffer
	service.Stdout, service.Stderr = &log, &log
	service.Cancel = func() error { return service.Process.Kill() }
	require.NoError(t, service.Start())
	t.Cleanup(func() {
		_ = service.Process.Kill()
		_ = service.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})

	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	ask := func(path string) (int, string) {
		response, err := client.Post("http://sidecar"+path, "application/json", strings.NewReader(`{"payOrderId":"P1"}`))
		if err != nil {
			return 0, err.Error()
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		return response.StatusCode, string(body)
	}
	// The first connection starts it.
	require.Eventually(t, func() bool { status, _ := ask("/nowhere"); return status == http.StatusNotFound }, 30*time.Second, 100*time.Millisecond)
	status, body := ask("/jeepay/api/division/exec")
	assert.Equal(t, http.StatusBadGateway, status, "the keys are there, and the provider is not: %s", body)
	assert.Contains(t, body, "upstream_unreachable")
	response, err := http.Get("http://127.0.0.1:" + probes + "/readyz")
	require.NoError(t, err)
	defer response.Body.Close()
	assert.Equal(t, http.StatusOK, response.StatusCode)
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	return port
}

// buildah takes the image and runs its program, without an engine.
func TestImage(t *testing.T) {
	for _, flavour := range [][]string{nil, {"--fast-rsa"}} {
		t.Run(strings.Join(append([]string{"image"}, flavour...), " "), func(t *testing.T) {
			need(t)
			if flavour != nil {
				need(t, "apt-get", "dpkg-deb", "gcc")
			}
			archive := filepath.Join(t.TempDir(), "image.tar")
			output(t, repository, "./xcaddy.sh", append([]string{"image", "-o", archive}, flavour...)...)
			names := archiveNames(t, archive)
			assert.Contains(t, names, "oci-layout")
			assert.Contains(t, names, "index.json")

			need(t, "buildah")
			if os.Geteuid() != 0 {
				t.Skip("buildah without a daemon needs root here")
			}
			from := func(transport string) string {
				container := strings.TrimSpace(lastLine(output(t, ".", "buildah", "from", "--name", "countersign-test-"+freePort(t), transport)))
				t.Cleanup(func() { _ = exec.Command("buildah", "--storage-driver", "vfs", "rm", container).Run() })
				return container
			}
			container := from("oci-archive:" + archive)
			loaded := from("docker-archive:" + archive + ":caddy-countersign:latest") // what docker load reads
			assert.Contains(t, output(t, ".", "buildah", "run", "--isolation", "chroot", loaded, "--", "/usr/bin/caddy", "version"), "v1.2.3")
			config := output(t, ".", "buildah", "inspect", "--type", "container", container)
			for _, want := range []string{"65532:65532", "GOGC=400", "GOMEMLIMIT=", "/etc/countersign/Caddyfile"} {
				assert.Contains(t, config, want)
			}
			assert.Contains(t, output(t, ".", "buildah", "run", "--isolation", "chroot", container, "--", "/usr/bin/caddy", "version"), "v1.2.3")
			assert.Contains(t, output(t, ".", "buildah", "run", "--isolation", "chroot", container, "--", "/usr/bin/caddy", "build-info"), map[bool]string{true: "fastrsa", false: "nobadger"}[flavour != nil])
		})
	}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

func archiveNames(t *testing.T, path string) (names []string) {
	t.Helper()
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	for archive := tar.NewReader(file); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return names
		}
		require.NoError(t, err)
		names = append(names, header.Name)
	}
}
