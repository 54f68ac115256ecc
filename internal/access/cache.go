package access

import (
	"maps"
	"sync"
	"time"

	"stint.dev/stint/internal/index"
)

const (
	// tokenTrust is how long a token is taken for valid without another look at the
	// database. A token that another server on it revoked works for at most that long.
	tokenTrust = 5 * time.Second
	// useEvery is how often the use of a token is written down.
	useEvery = time.Minute
	// mostTokens bounds the memory for tokens, some 500 bytes each.
	mostTokens = 100_000
)

// Tokens remembers tokens that were looked up, and when each was used. Its methods may be
// called at the same time.
type Tokens struct {
	mu    sync.Mutex
	known *lru[string, cachedToken]
	used  map[string]time.Time // id to last use, of what is not written down yet
}

type cachedToken struct {
	token index.Token
	until time.Time // when it is to be looked up again
	noted time.Time // when its use was last noted
}

// NewTokens makes an empty cache.
func NewTokens() *Tokens {
	return &Tokens{known: newLRU[string, cachedToken](mostTokens), used: map[string]time.Time{}}
}

// Get returns the token with a hash, if it is known and was looked up lately, and notes
// its use.
func (c *Tokens) Get(hash []byte, now time.Time) (index.Token, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.known.get(string(hash))
	if t == nil || !now.Before(t.until) {
		return index.Token{}, false
	}
	c.note(t, now)
	return t.token, true
}

// Put remembers a token that was just looked up, and notes its use.
func (c *Tokens) Put(t index.Token, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry := cachedToken{token: t, until: now.Add(tokenTrust)}
	if before := c.known.get(string(t.Hash)); before != nil {
		entry.noted = before.noted
	}
	c.note(&entry, now)
	c.known.put(string(t.Hash), entry)
}

func (c *Tokens) note(t *cachedToken, now time.Time) {
	if now.Sub(t.noted) >= useEvery {
		t.noted = now
		c.used[t.token.ID] = now
	}
}

// Forget makes the cache look up a token anew, because it was revoked.
func (c *Tokens) Forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known.removeIf(func(_ string, t *cachedToken) bool { return t.token.ID == id })
	delete(c.used, id)
}

// TakeUsed returns up to most ids of tokens with their last use that is not written down
// yet, and forgets them.
func (c *Tokens) TakeUsed(most int) map[string]time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.used) <= most {
		all := c.used
		c.used = map[string]time.Time{}
		return all
	}
	some := make(map[string]time.Time, most)
	for id, at := range c.used {
		if len(some) == most {
			break
		}
		some[id] = at
	}
	maps.DeleteFunc(c.used, func(id string, _ time.Time) bool { _, taken := some[id]; return taken })
	return some
}
