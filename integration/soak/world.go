package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/countersign/caddy-countersign/integration/vault/vaulttest"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/easypay"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/hkrt"
	"github.com/countersign/caddy-countersign/module/sandbox/provider/hongwen"
)

// The ports of the soak, all on 127.0.0.1, and the timeout of a try.
const (
	sidecarPort  = 23500
	metricsPort  = 23501
	providerPort = 23502
	tryTimeout   = 2 * time.Second
)

// world is everything that runs.
type world struct {
	dir      string
	seed     int64
	vault    *vaulttest.Server
	proxy    *vaulttest.Proxy
	role     *vaulttest.AppRole
	caddy    *exec.Cmd
	provider *providers
	client   *http.Client
	shops    []*shop
	ledger   *ledger
	events   *events

	orders sync.Mutex
	next   int
}

func newWorld(ctx context.Context, seed int64) (_ *world, err error) {
	if _, err := os.Stat("module/cmd/caddy"); err != nil {
		return nil, errors.New("run it from the top of the repository: go run ./integration/soak")
	}
	w := &world{seed: seed, ledger: newLedger(), events: new(events)}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if w.dir, err = os.MkdirTemp("", "countersign-soak-"); err != nil {
		return nil, err
	}
	w.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 5 * time.Second}, Timeout: time.Minute}
	w.shops = []*shop{
		{
			scheme: "easypay", reference: "easypay/1", path: "/easypay/ledger/mpos", provider: easypay.New(), seed: seedRSA, rotate: rotateRSA,
			request: func(order string) string {
				return fmt.Sprintf(`{"orgId":"1","orgMercode":"831135358120001","orgTermNo":"21120433","orgTrace":"T%s","prodCode":"W04","bizData":{"oriOrgTrace":%q,"transCount":"1","transAmt":"10","orderSubDetails":[{"orgMercode":"831135358120002","orgTermno":"21120434","orgSubTrace":"S%s","body":"分账","subject":"配送费","transAmt":"10","feeCostAmt":"0","patnerSettleFlag":"0","attach":"","otherfee":"0","orgHfee":"0"}]}}`, order, order, order)
			},
		},
		{
			scheme: "hkrt", reference: "hkrt/1", path: "/hkrt/api/v1/delay-ledger/ledger", provider: hkrt.New(), seed: seedSecret, rotate: rotateSecret,
			request: func(order string) string {
				return fmt.Sprintf(`{"agent_no":"FF109108120","merch_no":"83320253445099","trade_no":"UN2312320546186687318899","apply_no":%q,"ledger_relation":[{"receive_no":"833112128140726","amt":"0.01","remark":""}]}`, order)
			},
		},
		{
			scheme: "hongwen", reference: "hongwen/1", path: "/hongwen/gateway.do", provider: hongwen.New(), seed: seedTransit, rotate: rotateTransit,
			request: func(order string) string {
				return fmt.Sprintf(`{"biz_content":{"divide_out_trade_no":"20150320010101001","divide_back_out_trade_no":%q,"divide_back_detail":[{"account":"10021011","amount":"100"}],"merchant_no":"1002341"}}`, order)
			},
		},
	}
	if err := w.startVault(ctx); err != nil {
		return nil, err
	}
	if w.provider, err = startProviders(w.ledger, w.shops, seed); err != nil {
		return nil, err
	}
	return w, w.startCaddy(ctx)
}

func (w *world) startVault(ctx context.Context) (err error) {
	fmt.Println("building and starting Vault")
	if w.vault, err = vaulttest.New(ctx, vaulttest.Options{}); err != nil {
		return err
	}
	if w.proxy, err = vaulttest.NewProxy(w.vault); err != nil {
		return err
	}
	if err := errors.Join(w.vault.EnableKV("payments"), w.vault.EnableTransit("signing")); err != nil {
		return err
	}
	const policy = `
path "payments/data/*" { capabilities = ["read"] }
path "payments/metadata/*" { capabilities = ["read"] }
path "signing/keys/hongwen" { capabilities = ["read"] }
path "signing/sign/hongwen/sha2-256" { capabilities = ["update"] }
`
	if err := w.vault.WritePolicy("sidecar", policy); err != nil {
		return err
	}
	if w.role, err = w.vault.CreateAppRole("sidecar", w.dir, vaulttest.Tokens{Policies: []string{"sidecar"}, TTL: 20 * time.Second, MaxTTL: time.Minute}); err != nil {
		return err
	}
	for _, s := range w.shops {
		if err := s.seed(s, w.vault); err != nil {
			return fmt.Errorf("seeding the keys of %s: %w", s.scheme, err)
		}
	}
	return nil
}

// caddyfile returns the configuration. A reload changes the comment at its top, and
// so the whole of it.
func (w *world) caddyfile(reload int) string {
	text := fmt.Sprintf(`{
	admin unix//%s/admin.sock|0600
	persist_config off
	auto_https off
	grace_period 10s
	countersign {
		keys vault %s {
			kv payments
			auth approle %s %s
			refresh 1s
			max_stale 20s
		}
	}
}
http://127.0.0.1:%d {
	bind 127.0.0.1
	metrics
	header Reload %d
}
http://127.0.0.1:%d {
	bind 127.0.0.1
`, w.dir, w.proxy.URL, w.role.RoleIDFile, w.role.SecretIDFile, metricsPort, reload, sidecarPort)
	for _, s := range w.shops {
		options := map[string]string{"hkrt": "access_id 405544499f016a9b3d8f57000f", "hongwen": "mch_no 2014072300007148\n\t\t\tmethod trade.apply.divide.back"}[s.scheme]
		text += fmt.Sprintf(`	handle /%s/* {
		countersign %s 127.0.0.1:%d {
			keys %s
			timeout %s
			max_response_body 256KiB
			%s
			reverse_proxy {
				lb_try_duration 500ms
			}
		}
	}
`, s.scheme, s.scheme, providerPort, s.reference, tryTimeout, options)
	}
	return text + "}\n"
}

func (w *world) startCaddy(ctx context.Context) error {
	fmt.Println("building and starting Caddy")
	binary := filepath.Join(w.dir, "caddy")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "./module/cmd/caddy").CombinedOutput(); err != nil {
		return fmt.Errorf("building Caddy: %w\n%s", err, out)
	}
	if err := os.WriteFile(w.config(), []byte(w.caddyfile(0)), 0o600); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(w.dir, "caddy.log"))
	if err != nil {
		return err
	}
	w.caddy = exec.CommandContext(ctx, binary, "run", "--config", w.config(), "--adapter", "caddyfile")
	w.caddy.Stdout, w.caddy.Stderr = log, log
	w.caddy.Env = append(os.Environ(), "XDG_DATA_HOME="+w.dir, "XDG_CONFIG_HOME="+w.dir)
	if err := w.caddy.Start(); err != nil {
		return err
	}
	for start := time.Now(); time.Since(start) < 30*time.Second; time.Sleep(100 * time.Millisecond) {
		if conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", "127.0.0.1:"+strconv.Itoa(sidecarPort)); err == nil {
			return conn.Close()
		}
	}
	text, _ := os.ReadFile(log.Name())
	return fmt.Errorf("caddy does not listen:\n%s", text)
}

func (w *world) config() string { return filepath.Join(w.dir, "Caddyfile") }

func (w *world) close() {
	if w.caddy != nil && w.caddy.Process != nil {
		_ = w.caddy.Process.Signal(syscall.SIGTERM)
		_ = w.caddy.Wait()
	}
	if w.provider != nil {
		_ = w.provider.server.Close()
	}
	if w.proxy != nil {
		w.proxy.Close()
	}
	if w.vault != nil {
		_ = w.vault.Close()
	}
	_ = os.RemoveAll(w.dir)
}
