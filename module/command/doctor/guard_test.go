package doctor_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/countersign/caddy-countersign/module/command/doctor"
	"github.com/countersign/caddy-countersign/module/keysource"
	"github.com/countersign/caddy-countersign/module/stores/redis/redistest"
)

func TestGuardrails(t *testing.T) {
	dir := merchant(t, easypayRef)
	upstream := provider(t, nil).Listener.Addr().String()
	look := func(lines string, options doctor.Options) []keysource.Finding {
		return examineWith(t, sidecar(dir, upstream, lines), options)
	}
	const unique = "unique orgTrace for 1h "

	f := find(t, look("guard report\nallow POST /a", doctor.Options{}), "guardrails", "easypay")
	assert.Equal(t, keysource.Warning, f.Status)
	assert.Contains(t, f.Reason, "guard report")

	for _, findings := range [][]keysource.Finding{look("", doctor.Options{}), look("allow POST /a", doctor.Options{})} {
		for _, f := range findings {
			assert.NotContains(t, []string{"guardrails", "store"}, f.Check)
		}
	}

	f = find(t, look(unique, doctor.Options{}), "store", "unique")
	assert.Equal(t, keysource.Warning, f.Status)
	assert.Contains(t, f.Reason, "a restart forgets it")

	f = find(t, look("budget day sum bizData.transAmt 5 per 24h redis://127.0.0.1:1", doctor.Options{}), "store", "budget day")
	assert.Equal(t, keysource.Failure, f.Status)

	f = find(t, look(unique+"redis://redis.invalid:6379", doctor.Options{}), "store", "unique")
	assert.Equal(t, keysource.OK, f.Status)
	assert.Contains(t, f.Reason, "--online asks it")
	f = find(t, look(unique+"redis://redis.invalid:6379", doctor.Options{Online: true}), "store", "unique")
	assert.Equal(t, keysource.Failure, f.Status)

	findings := look(unique+redistest.Start(t, "--appendonly", "yes").URL(), doctor.Options{})
	assert.Equal(t, keysource.OK, find(t, findings, "store", "unique").Status)
	assert.Len(t, of(findings, "store"), 1)
	findings = look(unique+redistest.Start(t).URL(), doctor.Options{})
	assert.Len(t, of(findings, "store"), 2)
	assert.Contains(t, of(findings, "store")[1].Reason, "append-only")
}

// The store of once is asked as those of the guardrails are.
func TestStoreOfOnce(t *testing.T) {
	dir := merchant(t, easypayRef)
	look := func(store string, options doctor.Options) keysource.Finding {
		text := fmt.Sprintf("{\nadmin off\npersist_config off\ncountersign {\nkeys file %s\n}\n}\nhttp://:18080 {\nbind 127.0.0.1\ncountersign_notify easypay {\nkeys %s\nonce 1h %s\n}\nrespond ok\n}\n", dir, easypayRef, store)
		return find(t, examineWith(t, text, options), "store", "once")
	}
	f := look("redis://127.0.0.1:1", doctor.Options{})
	assert.Equal(t, keysource.Failure, f.Status)
	assert.Contains(t, f.Advice, "every notification")
	assert.Contains(t, look("redis://redis.invalid:6379", doctor.Options{}).Reason, "--online asks it")
	assert.Equal(t, keysource.OK, look(redistest.Start(t).URL(), doctor.Options{}).Status)
}

// of returns the findings of a check.
func of(findings []keysource.Finding, check string) (found []keysource.Finding) {
	for _, f := range findings {
		if f.Check == check {
			found = append(found, f)
		}
	}
	return found
}
