package guardrails_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/network/networktest"
	"github.com/countersign/caddy-countersign/module/stores/redis/redistest"
)

// seen is an order as it reached the provider.
type seen struct {
	order, account string
	amount         *big.Rat
	asked, arrived time.Time
}

// provider takes every order, after a while, and answers without a signature, so
// that the sidecar keeps what it has reserved. Some connections it drops.
type provider struct {
	*httptest.Server
	mu  sync.Mutex
	all []seen
}

func startProvider(t *testing.T) *provider {
	p := new(provider)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived := time.Now()
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return // a sidecar was killed while it sent: nobody can carry that out
		}
		var body struct{ MchOrderNo, Account, Amount, At string }
		asked := int64(0)
		amount, ok := new(big.Rat), false
		if err := json.Unmarshal(text, &body); err == nil {
			amount, ok = new(big.Rat).SetString(body.Amount)
			_, _ = fmt.Sscan(body.At, &asked)
		}
		if !ok {
			panic("the provider got " + string(text))
		}
		p.mu.Lock()
		p.all = append(p.all, seen{body.MchOrderNo, body.Account, amount, time.UnixMicro(asked), arrived})
		p.mu.Unlock()
		time.Sleep(rand.N(60 * time.Millisecond))
		if rand.N(10) == 0 {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"code":0,"msg":"SUCCESS","data":{}}`)
	}))
	p.Config.ErrorLog = nil
	t.Cleanup(p.Close)
	return p
}

func (p *provider) orders() []seen {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.all)
}

const (
	perAccount  = 40 // an hour
	perBurst    = 60
	burstWindow = 2 * time.Second
)

// replicas starts sidecars that share a Redis. At /dead their upstream is away: what
// goes there is given back.
func replicas(t *testing.T, n int, upstream, redis string) (all []*sidecar) {
	for range n {
		address := networktest.Address(t)
		rules := fmt.Sprintf(`
		keys jeepay/M1623997351
		mch_no M1623997351
		app_id 60cc3ba74ee0e6685f57eb1e
		profile pay
		allow POST /api/transferOrder
		budget account sum amount %d per 1h by account %s {
			timeout 5s
		}
		budget burst sum amount %d per %s %s {
			timeout 5s
		}
		unique mchOrderNo for 1h %s {
			timeout 5s
		}
`, perAccount, redis, perBurst, burstWindow, redis, redis)
		all = append(all, start(t, `{
	admin off
	persist_config off
	log {
		level ERROR
	}
	countersign {
		keys file `+repository(t)+`/keys-dev/merchant
	}
}
http://`+address+` {
	bind 127.0.0.1
	handle_path /pay/* {
		countersign jeepay `+upstream+` {`+rules+`}
	}
	handle_path /dead/* {
		countersign jeepay `+networktest.Address(t)+` {`+rules+`}
	}
}
`, "tcp", address))
	}
	return all
}

// Several replicas share a real Redis. Under load, with replicas killed in the
// middle and Redis itself killed once, no budget is exceeded and no order is sent
// twice; with Redis away nothing passes.
func TestReplicasAreKilledUnderLoad(t *testing.T) {
	redis := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	p := startProvider(t)
	all := replicas(t, 3, p.Listener.Addr().String(), redis.URL())

	var mu sync.Mutex
	reasons := make(map[string]int)
	sent := []string{"first"} // order numbers that were used
	c := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	defer c.CloseIdleConnections()
	ask := func(n int, path string) string {
		mu.Lock()
		order := fmt.Sprint("order", len(sent), "-", n)
		if rand.N(2) == 0 {
			order = sent[max(0, len(sent)-1-rand.N(20))] // one that is under way, or was
		} else {
			sent = append(sent, order)
		}
		mu.Unlock()
		// An account for each half second, so that there is always one with money.
		account := time.Now().UnixMilli() / 500
		amount := fmt.Sprintf("%d.%02d", rand.N(9), 1+rand.N(99))
		body := fmt.Sprintf(`{"mchOrderNo":%q,"account":"A%d","amount":%q,"at":"%d"}`, order, account, amount, time.Now().UnixMicro())
		a, err := post(c, "http://"+all[n%len(all)].address+path, body)
		reason := a.reason()
		if err != nil {
			reason = "killed"
		}
		mu.Lock()
		defer mu.Unlock()
		reasons[reason]++
		return reason
	}

	loading := make(chan struct{})
	var load sync.WaitGroup
	for n := range 9 {
		load.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-loading:
					return
				default:
				}
				path := "/pay/api/transferOrder"
				if i%5 == 4 {
					path = "/dead/api/transferOrder"
				}
				ask(n, path)
				time.Sleep(rand.N(20 * time.Millisecond))
			}
		})
	}
	const kills = 6
	for i := range kills {
		time.Sleep(300*time.Millisecond + rand.N(500*time.Millisecond))
		victim := all[i%len(all)]
		victim.Kill()
		if i == kills/2 {
			redis.Restart(t)
		}
		victim.again()
	}
	close(loading)
	load.Wait()

	orders := p.orders()
	t.Logf("%d orders reached the provider; answers: %v", len(orders), reasons)
	assertWithinBudgets(t, orders)
	assert.Greater(t, len(orders), 20)
	for _, reason := range []string{"over_budget", "duplicate_request", "upstream_unreachable"} {
		assert.Positive(t, reasons[reason], reason)
	}

	// With Redis away nothing passes, however it is asked.
	redis.Stop()
	for n := range all {
		assert.Equal(t, "store_unavailable", ask(n, "/pay/api/transferOrder"))
	}
	assert.Len(t, p.orders(), len(orders))

	// It comes back with what it has written down, and payments go on.
	redis.Restart(t)
	require.Eventually(t, func() bool {
		before := len(p.orders())
		ask(0, "/pay/api/transferOrder")
		return len(p.orders()) > before
	}, 30*time.Second, 50*time.Millisecond)
	assertWithinBudgets(t, p.orders())
}

// assertWithinBudgets checks what the provider saw. An order was reserved at some
// moment between when it was asked for and when it arrived, so that a window at the
// provider is shorter than the budget's by the longest such time.
func assertWithinBudgets(t *testing.T, orders []seen) {
	t.Helper()
	accounts, count := make(map[string]*big.Rat), make(map[string]int)
	var longest time.Duration
	for _, o := range orders {
		count[o.order]++
		if accounts[o.account] == nil {
			accounts[o.account] = new(big.Rat)
		}
		accounts[o.account].Add(accounts[o.account], o.amount)
		longest = max(longest, o.arrived.Sub(o.asked))
	}
	for order, n := range count {
		assert.Equal(t, 1, n, "%s was sent more than once", order)
	}
	for account, sum := range accounts {
		assert.LessOrEqual(t, sum.Cmp(big.NewRat(perAccount, 1)), 0, "%s has spent %s", account, sum.FloatString(2))
	}
	length := burstWindow - longest
	for _, first := range orders {
		sum := new(big.Rat)
		for _, o := range orders {
			if !o.arrived.Before(first.arrived) && o.arrived.Before(first.arrived.Add(length)) {
				sum.Add(sum, o.amount)
			}
		}
		assert.LessOrEqual(t, sum.Cmp(big.NewRat(perBurst, 1)), 0, "%s within %s", sum.FloatString(2), length)
	}
}
