package vault

import (
	"context"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// listFor is how long the list of a folder's secrets is used.
const listFor = 2 * time.Second

// maxListings is how many folders are remembered.
const maxListings = 64

// listings are the lists of folders in which a reference was not found. If the policy
// allows lists, any number of made-up references costs Vault one request in listFor. If
// it does not, each costs one request; the ring bounds their rate.
type listings struct {
	mu      sync.Mutex
	folders map[string]*listing
}

// listing is what is known of one folder.
type listing struct {
	mu    sync.Mutex // locked during a request to Vault
	until time.Time
	names []string // nil where Vault does not show them
}

// missed remembers that a reference was not found in its folder.
func (l *listings) missed(reference string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.folders == nil || len(l.folders) >= maxListings {
		l.folders = make(map[string]*listing)
	}
	if folder := path.Dir(reference); l.folders[folder] == nil {
		l.folders[folder] = new(listing)
	}
}

func (l *listings) of(folder string) *listing {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.folders[folder]
}

// absent reports whether Vault's list of a folder shows that there is no such
// secret in it. Folders are listed only after a reference was not found in them.
func (s *Source) absent(ctx context.Context, reference string) bool {
	folder, name := path.Split(reference)
	l := s.list.of(path.Clean("./" + folder))
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.After(l.until) {
		l.until = now.Add(listFor)
		l.names = nil
		secret, err := s.client.ask(ctx, request{path: s.path("metadata", strings.Trim(folder, "/")), list: true})
		switch {
		case isStatus(err, http.StatusForbidden):
			l.until = now.Add(time.Minute)
		case isNothing(err):
			l.names = []string{}
		case err == nil:
			l.names = append([]string{}, texts(secret.Data["keys"])...)
		}
	}
	return l.names != nil && !slices.Contains(l.names, name)
}
