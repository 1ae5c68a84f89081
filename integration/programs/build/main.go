// Command build compiles what tests need and what takes minutes on an empty
// cache. It prints what it does and how long each part took, in Chinese where
// the locale is Chinese.
package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/countersign/caddy-countersign/integration/programs"
)

// part is one thing to build.
type part struct {
	english, chinese string
	build            func(context.Context) error
}

func parts() []part {
	program := func(p programs.Program) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := programs.Path(ctx, p)
			return err
		}
	}
	all := []part{
		{"Caddy", "Caddy", program(programs.Caddy)},
		{"Caddy as it is released", "发布版 Caddy", release},
		{"the Vault server", "Vault 服务器", program(programs.Vault)},
		{"Prometheus' engine", "Prometheus 查询引擎", program(programs.PromQL)},
		{"the API server's checks", "Kubernetes API server 的校验", func(ctx context.Context) error {
			return programs.Warm(ctx, "integration/kubernetes/check")
		}},
	}
	if os.Getenv("COUNTERSIGN_CLUSTER_TEST") != "" {
		all = append(all,
			part{"kube-apiserver", "kube-apiserver", program(programs.APIServer)},
			part{"etcd", "etcd", program(programs.Etcd)})
	}
	return all
}

// release builds Caddy as users do. Its compiler flags are others than a test's,
// so the cache has to hold both.
func release(ctx context.Context) error {
	root, err := programs.Root(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "countersign")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	command := exec.CommandContext(ctx, filepath.Join(root, "xcaddy.sh"), "build", "-o", filepath.Join(dir, "caddy"))
	command.Stderr = os.Stderr
	return command.Run()
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	locale := cmp.Or(os.Getenv("LC_ALL"), os.Getenv("LC_MESSAGES"), os.Getenv("LANG"))
	title, took := "building %s; the first time this may take minutes ... ", "%.0f s\n"
	if strings.HasPrefix(locale, "zh") {
		title, took = "正在构建%s(首次可能需要几分钟)…… ", "用时 %.0f 秒\n"
	}
	for _, p := range parts() {
		name := p.english
		if strings.HasPrefix(locale, "zh") {
			name = p.chinese
		}
		fmt.Printf(title, name)
		start := time.Now()
		if err := p.build(ctx); err != nil {
			fmt.Println()
			fmt.Fprintln(os.Stderr, "build:", err)
			stop()
			os.Exit(1)
		}
		fmt.Printf(took, time.Since(start).Seconds())
	}
}
