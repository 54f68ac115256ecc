package access

import (
	"maps"
	"sync"
	"time"
)

const (
	// revokedTimeout is the time for which cached tokens are valid after the database returned how many
	// tokens were revoked. A token that another server on this database revoked works for at most this time.
	revokedTimeout = 5 * time.Second
	// tokenTimeout is the maximum age of a cached token: the database may be replaced by a copy
	// of it while the server runs, and the copy may have the same number of revoked tokens.
	tokenTimeout = 10 * time.Minute
	// useInterval is the minimum interval between two stored uses of a token. Each updates a row: of
	// 20,000 tokens in use, 33 rows a second.
	useInterval = 10 * time.Minute
	// maxTokens bounds the memory for tokens, which take some 500 bytes each.
	maxTokens = 100_000
)

// Tokens caches tokens that were looked up, and the time of the last use of each. Its methods may be
// called concurrently.
//
// Agents send requests every few seconds, so that a cached token that is valid for seconds would be
// looked up for nearly every request. A token is cached for ten minutes if no token is revoked, which one
// query checks for all tokens.
type Tokens struct {
	mu      sync.Mutex
	cached  *lru[string, cachedToken]
	used    map[string]time.Time // token ID to last use, not stored yet
	revoked int64                // number of revoked tokens at the time checked
	checked time.Time
}

type cachedToken struct {
	token      Token
	revoked    int64     // number of revoked tokens before it was looked up
	at         time.Time // time of the look-up
	recordedAt time.Time // last use that was recorded
}

// NewTokens returns an empty cache.
func NewTokens() *Tokens {
	return &Tokens{cached: newLRU[string, cachedToken](maxTokens), used: map[string]time.Time{}}
}

// SetRevoked records the number of tokens that were revoked at a time.
func (c *Tokens) SetRevoked(revoked int64, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.revoked, c.checked = revoked, at
}

// Revoked returns the last number that SetRevoked recorded, for Put.
func (c *Tokens) Revoked() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.revoked
}

// Get returns the token with a hash if it is cached and no token was revoked after it was looked
// up. It records the use.
func (c *Tokens) Get(hash []byte, now time.Time) (Token, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.cached.get(string(hash))
	if t == nil || t.revoked != c.revoked || !now.Before(t.at.Add(tokenTimeout)) || !now.Before(c.checked.Add(revokedTimeout)) {
		return Token{}, false
	}
	c.note(t, now)
	return t.token, true
}

// Put caches a token after its look-up and records its use. revoked is the number that Revoked
// returned before the look-up.
func (c *Tokens) Put(t Token, revoked int64, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry := cachedToken{token: t, revoked: revoked, at: now}
	if before := c.cached.get(string(t.Hash)); before != nil {
		entry.recordedAt = before.recordedAt
	}
	c.note(&entry, now)
	c.cached.put(string(t.Hash), entry)
}

func (c *Tokens) note(t *cachedToken, now time.Time) {
	if now.Sub(t.recordedAt) >= useInterval {
		t.recordedAt = now
		c.used[t.token.ID] = now
	}
}

// Delete removes a revoked token from the cache.
func (c *Tokens) Delete(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cached.removeIf(func(_ string, t *cachedToken) bool { return t.token.ID == id })
	delete(c.used, id)
}

// TakeUsed removes up to limit uses that are not stored yet and returns them, by
// token ID.
func (c *Tokens) TakeUsed(limit int) map[string]time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.used) <= limit {
		all := c.used
		c.used = map[string]time.Time{}
		return all
	}
	some := make(map[string]time.Time, limit)
	for id, at := range c.used {
		if len(some) == limit {
			break
		}
		some[id] = at
	}
	maps.DeleteFunc(c.used, func(id string, _ time.Time) bool { _, taken := some[id]; return taken })
	return some
}
