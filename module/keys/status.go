package keys

import (
	"slices"
	"strings"
	"time"
)

// Status describes one reference for the admin endpoint and the metrics.
type Status struct {
	Reference  string        // the reference
	Configured bool          // it stands in the configuration, not only in a request
	Set        *Set          // the set in use, or nil
	Age        time.Duration // since the source last confirmed it; 0 without a set
	Usable     bool          // there is a set, and it is not too old
	Error      string        // why the last load failed, or why a role cannot be used, or ""
}

// Status returns the status of every reference, sorted by name.
func (r *Ring) Status() []Status {
	now := time.Now()
	var out []Status
	for _, v := range r.entries.Range {
		e := v.(*entry)
		if e.reference == "" {
			continue // the source itself
		}
		s := Status{Reference: e.reference, Set: e.set.Load()}
		if s.Set != nil {
			s.Age = time.Duration(now.UnixNano() - e.confirmed.Load())
			s.Usable = r.options.MaxStale == 0 || s.Age <= r.options.MaxStale
		}
		e.mu.Lock()
		s.Configured = e.pins > 0
		if e.err != nil {
			s.Error = e.err.Error()
		} else if s.Set != nil {
			s.Error = s.Set.broken()
		}
		e.mu.Unlock()
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b Status) int { return strings.Compare(a.Reference, b.Reference) })
	return out
}

// Usable reports whether the set of a reference is loaded and not too old.
func (r *Ring) Usable(reference string) bool {
	e := r.lookup(reference)
	if e == nil || e.set.Load() == nil {
		return false
	}
	return r.options.MaxStale == 0 || time.Now().UnixNano()-e.confirmed.Load() <= int64(r.options.MaxStale)
}

// Answering reports whether the source has answered within MaxStale.
func (r *Ring) Answering() bool {
	at := r.answered.Load()
	return at != 0 && (r.options.MaxStale == 0 || time.Now().UnixNano()-at <= int64(r.options.MaxStale))
}

// Age returns the longest time since the source confirmed a set, of all that are loaded
// and all that the configuration names. A set that never loaded counts from when it was
// first requested, so that the age also grows for a source that fails from the start.
func (r *Ring) Age() time.Duration {
	now := time.Now()
	var oldest time.Duration
	for _, v := range r.entries.Range {
		e := v.(*entry)
		e.mu.Lock()
		pinned, at := e.pins > 0, e.born.UnixNano()
		e.mu.Unlock()
		loaded := e.set.Load() != nil
		if loaded {
			at = e.confirmed.Load()
		}
		if loaded || pinned {
			oldest = max(oldest, time.Duration(now.UnixNano()-at))
		}
	}
	return oldest
}

// Remote reports whether a loaded set has a key that its source computes with.
func (r *Ring) Remote() bool {
	for _, v := range r.entries.Range {
		if set := v.(*entry).set.Load(); set != nil && set.remote() {
			return true
		}
	}
	return false
}

func (s *Set) remote() bool {
	keys := append(s.DecryptKeys(""), matching(s, "", func(s *Set) []*PrivateKey { return optional(s.Sign) })...)
	return slices.ContainsFunc(keys, func(k *PrivateKey) bool { return k.Remote })
}

// Expiries calls report with the time at which the first certificate of a role
// expires, for the sets that the configuration names. Own certificates, and those of
// authorities, count as well.
func (r *Ring) Expiries(report func(reference, role string, expires time.Time)) {
	for _, status := range r.Status() {
		if !status.Configured || status.Set == nil {
			continue
		}
		first := make(map[Role]time.Time)
		for _, c := range status.Set.Certificates() {
			if at, ok := first[c.Role]; !ok || c.Until.Before(at) {
				first[c.Role] = c.Until
			}
		}
		for role, at := range first {
			report(status.Reference, string(role), at)
		}
	}
}
