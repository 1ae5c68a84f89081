package check

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
)

// A container as a container engine would start it, as far as the kernel alone
// can do it: its own root file system, read-only; its own network with nothing
// but loopback, so that no test can reach anybody; the user, no capability and no
// way to get one. What is missing is the seccomp filter.
type container struct {
	Root    string
	Dir     string
	Args    []string
	Env     []string
	User    int
	Group   int
	Scratch []string // where a tmpfs goes
}

// asContainer, set, makes the test binary start the container in it and become
// its process.
const asContainer = "COUNTERSIGN_CONTAINER"

func init() {
	if spec := os.Getenv(asContainer); spec != "" {
		runtime.LockOSThread() // what is dropped below is dropped for a thread
		fmt.Fprintln(os.Stderr, "starting the container:", become(spec))
		os.Exit(125)
	}
}

func become(spec string) error {
	var c container
	if err := json.Unmarshal([]byte(spec), &c); err != nil {
		return err
	}
	mounts := []func() error{
		func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") },
		func() error { return unix.Mount(c.Root, c.Root, "", unix.MS_BIND, "") },
		func() error {
			return unix.Mount("proc", filepath.Join(c.Root, "proc"), "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
		},
		func() error {
			return unix.Mount("", c.Root, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID, "")
		},
	}
	for _, dir := range c.Scratch {
		mounts = append(mounts, func() error {
			return unix.Mount("tmpfs", filepath.Join(c.Root, dir), "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0777,size=8m")
		})
	}
	rest := []func() error{
		loopbackUp,
		func() error { return unix.Chroot(c.Root) },
		func() error { return unix.Chdir(c.Dir) },
		dropCapabilities,
		func() error { return syscall.Setgroups(nil) },
		func() error { return syscall.Setgid(c.Group) },
		func() error { return syscall.Setuid(c.User) },
		func() error { return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) },
		func() error { return unix.Exec(c.Args[0], c.Args, c.Env) },
	}
	for i, step := range append(mounts, rest...) {
		if err := step(); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	return nil
}

func loopbackUp() error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, request)
}

func dropCapabilities() error {
	for capability := uintptr(0); capability <= unix.CAP_LAST_CAP; capability++ {
		err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0)
		if err != nil && !errors.Is(err, unix.EINVAL) { // EINVAL: older kernels have fewer
			return err
		}
	}
	return nil
}

// runningPod is a running sidecar.
type runningPod struct {
	process *exec.Cmd
	client  *http.Client
	exited  chan error
}

// startSidecar starts the sidecar of a workload with the image's binary. The
// volumes are laid out as the kubelet does; content holds their files by the
// volume's name.
func startSidecar(t *testing.T, template *corev1.PodTemplateSpec, content map[string]map[string][]byte) *runningPod {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a root file system of its own, a network of its own and another user take root")
	}
	sidecar := template.Spec.InitContainers[0]
	root := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(root, "usr/bin"), 0o755))
	require.NoError(t, copyFile(builtBinary(t), filepath.Join(root, "usr/bin/caddy")))
	require.NoError(t, os.Mkdir(filepath.Join(root, "proc"), 0o755))
	require.NoError(t, filepath.WalkDir(root, func(path string, _ os.DirEntry, _ error) error { return os.Chmod(path, 0o755) }))

	image, err := ReadImage(dockerfile(t), nil)
	require.NoError(t, err)
	c := container{
		Root:  root,
		Dir:   sidecar.WorkingDir,
		Args:  append(image.Config.Entrypoint, sidecar.Args...),
		Env:   image.Config.Env,
		User:  int(*sidecar.SecurityContext.RunAsUser),
		Group: int(*sidecar.SecurityContext.RunAsGroup),
	}
	for _, variable := range sidecar.Env {
		c.Env = append(c.Env, variable.Name+"="+variable.Value)
	}
	for _, mount := range sidecar.VolumeMounts {
		target := filepath.Join(root, mount.MountPath)
		require.NoError(t, os.MkdirAll(target, 0o755))
		if files, given := content[mount.Name]; given {
			fillVolume(t, target, files)
		} else {
			c.Scratch = append(c.Scratch, mount.MountPath)
		}
	}
	return c.start(t)
}

// fillVolume lays files out as the kubelet does, so that all of them change at
// once when the link ..data does.
func fillVolume(t *testing.T, volume string, files map[string][]byte) {
	t.Helper()
	const version = "..2026_11_21_00_00_00.1"
	for name, content := range files {
		path := filepath.Join(volume, version, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, content, 0o644))
		first, _, _ := strings.Cut(name, "/")
		err := os.Symlink(filepath.Join("..data", first), filepath.Join(volume, first))
		require.True(t, err == nil || os.IsExist(err), "%v", err)
	}
	require.NoError(t, os.Symlink(version, filepath.Join(volume, "..data")))
}

func (c container) start(t *testing.T) *runningPod {
	t.Helper()
	spec, err := json.Marshal(c)
	require.NoError(t, err)
	process := exec.Command("/proc/self/exe")
	process.Env = []string{asContainer + "=" + string(spec)}
	process.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWIPC,
	}
	var log lockedBuffer
	process.Stdout, process.Stderr = &log, &log
	require.NoError(t, process.Start())
	p := &runningPod{process: process, exited: make(chan error, 1)}
	go func() { p.exited <- process.Wait() }()
	t.Cleanup(func() {
		process.Process.Kill()
		if t.Failed() {
			t.Log("the sidecar's log:\n" + log.String())
		}
	})
	p.client = &http.Client{
		Timeout:   20 * time.Second,
		Transport: &http.Transport{DialContext: p.dial, DisableKeepAlives: true},
	}
	return p
}

// dial connects from inside the container's network.
func (p *runningPod) dial(ctx context.Context, network, address string) (net.Conn, error) {
	type result struct {
		net.Conn
		error
	}
	dialled := make(chan result, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		namespace, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", p.process.Process.Pid))
		if err != nil {
			dialled <- result{nil, err}
			return
		}
		defer namespace.Close()
		if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
			dialled <- result{nil, err}
			return
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		dialled <- result{conn, err}
	}()
	r := <-dialled
	return r.Conn, r.error
}

// waitFor waits until a probe answers 200.
func (p *runningPod) waitFor(t *testing.T, url string) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		status, text := p.get(url)
		if status == http.StatusOK {
			return
		}
		select {
		case err := <-p.exited:
			require.FailNow(t, "the sidecar ended", "%v", err)
		case <-deadline:
			require.FailNow(t, "not in time", "%s: %d %s", url, status, text)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// get returns the status and body of a GET, or 0 where nothing listens.
func (p *runningPod) get(url string) (int, string) {
	return p.do(http.MethodGet, url, "", "")
}

func (p *runningPod) do(method, url, contentType, body string) (int, string) {
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := p.client.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(text)
}

// status reads a line of /proc/<pid>/status.
func (p *runningPod) status(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.process.Process.Pid))
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, name+":"); found {
			return strings.Join(strings.Fields(value), " ")
		}
	}
	require.FailNow(t, "no such line in /proc/<pid>/status", name)
	return ""
}
