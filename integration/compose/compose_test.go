// Package compose_test runs what compose.yaml says, as processes: the commands of its
// services, with its files at the paths where its volumes put them.
package compose_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/countersign/caddy-countersign/integration/process"
	"github.com/countersign/caddy-countersign/module/network/networktest"
)

func TestMain(m *testing.M) { process.Main(m) }

// composition is what the test reads of compose.yaml.
type composition struct {
	Services map[string]service
	Volumes  map[string]struct {
		Options map[string]string `yaml:"driver_opts"`
	}
	Networks map[string]any
}

type service struct {
	Image       string
	User        string
	Command     []string
	Environment map[string]string
	Volumes     []string
	Networks    []string
	NetworkMode string `yaml:"network_mode"`
	Ports       []string
	ReadOnly    bool     `yaml:"read_only"`
	CapDrop     []string `yaml:"cap_drop"`
	MemLimit    string   `yaml:"mem_limit"`
}

func read(t *testing.T) composition {
	t.Helper()
	text, err := os.ReadFile("compose.yaml")
	require.NoError(t, err)
	var c composition
	require.NoError(t, yaml.Unmarshal(text, &c))
	return c
}

// Only the socket leads from the application to the sidecar, and only its group opens
// it.
func TestOnlyTheSocketLeadsToTheSidecar(t *testing.T) {
	c := read(t)
	application, sidecar := c.Services["application"], c.Services["sidecar"]
	for _, network := range sidecar.Networks {
		assert.NotContains(t, application.Networks, network)
		assert.NotContains(t, c.Services["web"].Networks, network)
	}
	assert.Empty(t, sidecar.Ports)
	assert.Empty(t, sidecar.Environment)
	assert.Equal(t, "none", c.Services["sandbox"].NetworkMode)
	assert.True(t, sidecar.ReadOnly)
	assert.Equal(t, []string{"ALL"}, sidecar.CapDrop)
	assert.Equal(t, "256m", sidecar.MemLimit, "for which the image's GOMEMLIMIT is made")

	assert.Equal(t, "33:65532", application.User)
	assert.Contains(t, application.Volumes, "signing:/run/signing:ro")
	assert.Contains(t, sidecar.Volumes, "signing:/run/signing")
	assert.Equal(t, "uid=65532,gid=65532,mode=2750", c.Volumes["signing"].Options["o"], "the socket's group is the folder's")
	for _, volume := range application.Volumes {
		assert.NotContains(t, volume, "keys")
	}
	for name := range c.Services {
		for _, volume := range c.Services[name].Volumes {
			if source, _, _ := strings.Cut(volume, ":"); strings.HasPrefix(source, ".") {
				_, err := os.Stat(source)
				assert.NoError(t, err, "%s mounts what is not there", name)
			}
		}
	}
}

// host is where the containers' paths are on this machine.
type host struct {
	*testing.T
	composition
	dir string
}

// paths returns the paths in a container and where they are here.
func (h host) paths(name string) []string {
	var pairs []string
	for _, volume := range h.Services[name].Volumes {
		parts := strings.Split(volume, ":")
		source, err := filepath.Abs(parts[0])
		require.NoError(h, err)
		if !strings.HasPrefix(parts[0], ".") {
			source = filepath.Join(h.dir, parts[0])
			require.NoError(h, os.MkdirAll(source, 0o700))
		}
		pairs = append(pairs, parts[1], source)
	}
	return pairs
}

// start runs a service whose program is Caddy, and returns its command.
func (h host) start(name string, also ...string) *exec.Cmd {
	here := strings.NewReplacer(append(also, h.paths(name)...)...)
	args := h.Services[name].Command
	if args[0] == "caddy" { // the image of the sidecar has it as its entry point
		args = args[1:]
	}
	require.Equal(h, []string{"run", "--config"}, args[:2])
	text, err := os.ReadFile(here.Replace(args[2]))
	require.NoError(h, err)
	file := filepath.Join(h.dir, name+".Caddyfile")
	require.NoError(h, os.WriteFile(file, []byte(here.Replace(string(text))), 0o600))

	if name == "sidecar" {
		doctor, err := process.Command(h.T, h.dir, "countersign", "doctor", "--config", file).CombinedOutput()
		assert.NoError(h, err, "%s", doctor)
		assert.Contains(h, string(doctor), " 0 failures")
	}
	cmd := process.Command(h.T, h.dir, "run", "--config", file, "--adapter", "caddyfile")
	h.run(name, cmd)
	return cmd
}

// run runs a process until the test ends.
func (h host) run(name string, cmd *exec.Cmd) {
	log, err := os.Create(filepath.Join(h.dir, name+".log"))
	require.NoError(h, err)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(h, cmd.Start())
	h.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		_ = log.Close()
		if text, err := os.ReadFile(log.Name()); err == nil && h.Failed() {
			h.Logf("what %s wrote:\n%s", name, text)
		}
	})
}

// The shop pays through the socket. It shows a refusal of the guardrails, and says that
// nothing was sent when the sidecar is not running.
func TestTheShopPays(t *testing.T) {
	h := host{t, read(t), process.Folder(t)}
	h.start("sandbox")
	await(t, "unix", filepath.Join(h.dir, "provider", "provider.sock"))
	sidecar := h.start("sidecar")
	socket := filepath.Join(h.dir, "signing", "pay.sock")
	require.Equal(t, "/run/signing/pay.sock", h.Services["application"].Environment["COUNTERSIGN_SOCKET"])
	await(t, "unix", socket)
	info, err := os.Stat(socket)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o660), info.Mode().Perm())

	shop := h.shop(socket)
	verified := shop("100")
	assert.Contains(t, verified, `"outcome":"verified"`)
	assert.Contains(t, verified, "交易成功")
	refused := shop("300000")
	assert.Contains(t, refused, `"outcome":"not_sent"`)
	assert.Contains(t, refused, `"reason":"over_limit"`)

	require.NoError(t, sidecar.Process.Kill())
	_ = sidecar.Wait()
	assert.Contains(t, shop("100"), `{"outcome":"not_sent"`)
}

// shop starts the application as php-fpm behind the web server, where there is
// php-fpm, and otherwise with PHP's own server. It returns what posts an amount.
func (h host) shop(socket string) func(amount string) string {
	here := strings.NewReplacer(h.paths("application")...)
	environment := append(os.Environ(), "COUNTERSIGN_SOCKET="+socket)
	address := networktest.Address(h.T)
	if fpm := program("php-fpm", "php-fpm8.2", "php-fpm8.3", "php-fpm8.4"); fpm != "" {
		backend := networktest.Address(h.T)
		pool := fmt.Sprintf("[global]\nerror_log = /dev/stderr\n[www]\nlisten = %s\npm = static\npm.max_children = 2\nclear_env = no\n", backend)
		if os.Getuid() == 0 {
			pool += "user = root\ngroup = root\n"
		}
		file := filepath.Join(h.dir, "fpm.conf")
		require.NoError(h, os.WriteFile(file, []byte(pool), 0o600))
		cmd := exec.Command(fpm, "--nodaemonize", "--allow-to-run-as-root", "--fpm-config", file)
		cmd.Env = environment
		h.run("application", cmd)
		await(h.T, "tcp", backend)
		h.start("web", ":8000", address[strings.LastIndex(address, ":"):], "application:9000", backend)
	} else {
		php := program("php")
		if php == "" {
			h.Skip("neither php-fpm nor php is on PATH")
		}
		cmd := exec.Command(php, "-S", address, here.Replace("/srv/application/index.php"))
		cmd.Env = environment
		h.run("application", cmd)
	}
	await(h.T, "tcp", address)
	if out, err := exec.Command("php", "-r", "exit(extension_loaded('curl') ? 0 : 1);").CombinedOutput(); err != nil {
		h.Skipf("PHP has no curl extension: %s", out)
	}
	return func(amount string) string {
		response, err := http.PostForm("http://"+address+"/", url.Values{"amount": {amount}})
		require.NoError(h, err)
		defer response.Body.Close() //nolint:errcheck // it is read
		text, err := io.ReadAll(response.Body)
		require.NoError(h, err)
		return string(text)
	}
}

// program returns the first of the programs that is there.
func program(names ...string) string {
	for _, name := range names {
		for _, name := range []string{name, "/usr/sbin/" + name} {
			if path, err := exec.LookPath(name); err == nil {
				return path
			}
		}
	}
	return ""
}

func await(t *testing.T, network, address string) {
	t.Helper()
	require.Eventually(t, func() bool {
		c, err := net.Dial(network, address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}, process.Limit, 50*time.Millisecond, "%s does not serve", address)
}
