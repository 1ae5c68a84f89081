package memory

import (
	"container/list"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/countersign/caddy-countersign/module/i18n"
	"github.com/countersign/caddy-countersign/module/stores"
)

// overhead is about what an entry costs besides its texts, in bytes.
const overhead = 300

// warnEvery is how often at most the log says that answers are forgotten.
const warnEvery = time.Minute

var errFull = i18n.Errorf("the memory of notifications is full of claims that run; raise max_entries or max_bytes")

// table is a bounded memory of claims and answers.
type table struct {
	maxEntries int
	maxBytes   int64

	mu      sync.Mutex
	entries map[string]*entry
	order   *list.List // of the finished entries, the oldest first
	bytes   int64
	warned  time.Time

	ledger *ledger
}

type entry struct {
	key    string
	owner  string         // of the claim that runs
	answer *stores.Answer // nil while it runs
	until  time.Time      // the lease, or how long the answer is kept
	place  *list.Element  // in order, once it is finished
}

func newTable(maxEntries int, maxBytes int64) *table {
	return &table{maxEntries: maxEntries, maxBytes: maxBytes, entries: make(map[string]*entry), order: list.New(), ledger: newLedger(maxEntries)}
}

// Destruct does nothing: a claim may still be finished.
func (*table) Destruct() error { return nil }

func (t *table) claim(key, owner string, lease time.Duration) (stores.State, *stores.Answer, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if e := t.entries[key]; e != nil {
		switch {
		case now.After(e.until):
			t.drop(e)
		case e.answer != nil:
			return stores.Remembered, e.answer, nil
		case e.owner == owner:
			return stores.Claimed, nil, nil
		default:
			return stores.Running, nil, nil
		}
	}
	e := &entry{key: key, owner: owner, until: now.Add(lease)}
	if !t.evict(now, e.size()) {
		return 0, nil, errFull
	}
	t.add(e)
	return stores.Claimed, nil, nil
}

func (t *table) finish(key string, answer *stores.Answer, keep time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if e := t.entries[key]; e != nil {
		t.drop(e)
	}
	e := &entry{key: key, answer: answer, until: now.Add(keep)}
	if t.evict(now, e.size()) {
		e.place = t.order.PushBack(e)
		t.add(e)
	}
}

func (t *table) release(key, owner string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.entries[key]; e != nil && e.answer == nil && e.owner == owner {
		t.drop(e)
	}
}

// evict drops answers, the oldest first, until there is space for one more entry of the
// given bytes. Claims that run are never dropped.
func (t *table) evict(now time.Time, bytes int64) bool {
	for {
		oldest := t.order.Front()
		fits := len(t.entries)+1 <= t.maxEntries && t.bytes+bytes <= t.maxBytes
		if oldest == nil {
			return fits
		}
		e := oldest.Value.(*entry)
		switch {
		case now.After(e.until):
		case fits:
			return true
		default:
			t.warn(now)
		}
		t.drop(e)
	}
}

func (t *table) warn(now time.Time) {
	if now.Sub(t.warned) < warnEvery {
		return
	}
	t.warned = now
	caddy.Log().Named("countersign.stores.memory").Warn(
		"the memory of notifications is full and forgets the oldest before their time; their repeats would reach the application",
		zap.Int("max_entries", t.maxEntries), zap.Int64("max_bytes", t.maxBytes))
}

func (t *table) add(e *entry) {
	t.entries[e.key] = e
	t.bytes += e.size()
}

func (t *table) drop(e *entry) {
	delete(t.entries, e.key)
	t.bytes -= e.size()
	if e.place != nil {
		t.order.Remove(e.place)
	}
}

func (e *entry) size() int64 {
	n := overhead + len(e.key) + len(e.owner)
	if e.answer != nil {
		n += len(e.answer.ContentType) + len(e.answer.Body)
	}
	return int64(n)
}
