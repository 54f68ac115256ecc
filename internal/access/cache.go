package access

import (
	"maps"
	"sync"
	"time"
)

const (
	// tokenTrust is how long known tokens are taken for valid after the database returned how many
	// were revoked. A token that another server on it revoked works for at most that long.
	tokenTrust = 5 * time.Second
	// tokenAge is how long a token is known at most: the database may be replaced by a copy of
	// it under a server that goes on, and have the same number of revoked ones.
	tokenAge = 10 * time.Minute
	// useEvery is how often the use of a token is written down. Each is a change of a row: of
	// 20,000 tokens in use, 33 a second.
	useEvery = 10 * time.Minute
	// mostTokens bounds the memory for tokens, some 500 bytes each.
	mostTokens = 100_000
)

// Tokens remembers tokens that were looked up, and when each was used. Its methods may be
// called at the same time.
//
// Agents come back as seldom as every few seconds, so a look-up that is good for seconds would be
// made for nearly every request. One is good for ten minutes as long as no token is revoked, which a single
// query answers for all of them.
type Tokens struct {
	mu      sync.Mutex
	known   *lru[string, cachedToken]
	used    map[string]time.Time // id to last use, of what is not written down yet
	revoked int64                // how many tokens had been revoked at checked
	checked time.Time
}

type cachedToken struct {
	token   Token
	revoked int64     // how many tokens had been revoked before it was looked up
	at      time.Time // when it was looked up
	noted   time.Time // when its use was last noted
}

// NewTokens makes an empty cache.
func NewTokens() *Tokens {
	return &Tokens{known: newLRU[string, cachedToken](mostTokens), used: map[string]time.Time{}}
}

// Checked notes how many tokens had been revoked at a time.
func (c *Tokens) Checked(revoked int64, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.revoked, c.checked = revoked, at
}

// Revoked returns the last number that Checked noted, for Put.
func (c *Tokens) Revoked() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.revoked
}

// Get returns the token with a hash, if it is known and no token was revoked since it was looked
// up, and notes its use.
func (c *Tokens) Get(hash []byte, now time.Time) (Token, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.known.get(string(hash))
	if t == nil || t.revoked != c.revoked || !now.Before(t.at.Add(tokenAge)) || !now.Before(c.checked.Add(tokenTrust)) {
		return Token{}, false
	}
	c.note(t, now)
	return t.token, true
}

// Put remembers a token that was just looked up, and notes its use. revoked is what Revoked
// returned before the look-up.
func (c *Tokens) Put(t Token, revoked int64, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry := cachedToken{token: t, revoked: revoked, at: now}
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
