package access

import "sync"

// maxOwners bounds the memory for owners of runs, which take some 200 bytes each.
const maxOwners = 100_000

// Owners caches the tokens that own runs, so that not every append queries the
// database. Its methods may be called concurrently.
type Owners struct {
	mu     sync.Mutex
	cached *lru[string, string] // run ID to token ID
}

// NewOwners returns an empty cache.
func NewOwners() *Owners { return &Owners{cached: newLRU[string, string](maxOwners)} }

// Has reports whether the cache has a token as the owner of a run.
func (o *Owners) Has(run, token string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	owner := o.cached.get(run)
	return owner != nil && *owner == token
}

// Put caches a token as the owner of a run.
func (o *Owners) Put(run, token string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.cached.put(run, token)
}
