package access

import "sync"

// mostOwners bounds the memory for owners of runs, some 200 bytes each.
const mostOwners = 100_000

// Owners remembers which token owns which run, so that not every append asks the
// database. Its methods may be called at the same time.
type Owners struct {
	mu    sync.Mutex
	known *lru[string, string] // run to token
}

// NewOwners makes an empty one.
func NewOwners() *Owners { return &Owners{known: newLRU[string, string](mostOwners)} }

// Has reports whether a token is known to own a run.
func (o *Owners) Has(run, token string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	owner := o.known.get(run)
	return owner != nil && *owner == token
}

// Put remembers that a token owns a run.
func (o *Owners) Put(run, token string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.known.put(run, token)
}
