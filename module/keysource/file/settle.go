package file

import (
	"context"
	"os"
	"time"

	"github.com/countersign/caddy-countersign/module/keys"
)

// pending is a state of a reference's files that is not used yet.
type pending struct {
	files stamp
	since time.Time
}

// still reports whether changed files can be used, because nobody is writing to them
// any more. A key file that was renamed into place, or is behind another link, is
// complete at once. Any other file must not have been written for Settle: nothing else
// distinguishes a secret from its first half, or a file with two keys from one with the
// first.
func (s *Source) still(reference string, before, now stamp) bool {
	if s.Settle == 0 || before.equal(now) || replaced(before, now) {
		s.pending.Delete(reference)
		return true
	}
	wait := time.Duration(s.Settle)
	value, _ := s.pending.LoadOrStore(reference, pending{now, time.Now()})
	seen := value.(pending)
	if !seen.files.equal(now) {
		seen = pending{now, time.Now()}
		s.pending.Store(reference, seen)
	}
	written := now.newest()
	removed := len(now) < len(before) // which leaves no time behind
	return time.Since(seen.since) >= wait || !removed && time.Since(written) >= wait
}

// replaced reports whether every file that changed was there before and is
// another file now. A secret may have been removed and written anew, so that it
// counts only behind a link.
func replaced(before, now stamp) bool {
	if len(before) != len(now) {
		return false
	}
	for role, a := range now {
		b, known := before[role]
		if known && a.equal(b) {
			continue
		}
		plain, _ := role.Split()
		secret := plain == keys.SharedSecret || plain == keys.VerifySecret
		if !known || os.SameFile(a.FileInfo, b.FileInfo) || secret && !a.linked {
			return false
		}
	}
	return true
}

// firstPause is the age at which a secret is used without waiting when its set is
// loaded for the first time.
const firstPause = 250 * time.Millisecond

// pause waits until no secret among the files is too young.
func (s *Source) pause(ctx context.Context, seen stamp) error {
	wait := time.Duration(0)
	for role, f := range seen {
		if plain, _ := role.Split(); plain == keys.SharedSecret || plain == keys.VerifySecret {
			wait = max(wait, min(firstPause-time.Since(f.ModTime()), firstPause))
		}
	}
	if s.Settle == 0 || wait <= 0 {
		return nil
	}
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
