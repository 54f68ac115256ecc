package server

import (
	"context"
	"crypto/subtle"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/job"
)

// bearer is the secret that a request brought. The password of HTTP Basic counts too: a
// client of the compat wire may know no other way, http://any:stint_…@host/compat/JOB. A
// header that cannot be read brings an empty secret, which is no one's.
func bearer(r *http.Request) (secret string, brought bool) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return "", false
	}
	if _, password, ok := r.BasicAuth(); ok {
		return password, true
	}
	scheme, rest, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", true
	}
	return strings.TrimSpace(rest), true
}

// tokenCache remembers tokens for a few seconds, so that not every request asks the
// database. A revoked token works for at most that long.
type tokenCache struct {
	log     *slog.Logger
	mu      sync.Mutex
	known   map[string]cachedToken
	touched map[string]time.Time
}

type cachedToken struct {
	token index.Token
	until time.Time
}

const (
	tokenTrust   = 5 * time.Second
	touchEvery   = time.Minute
	cachedTokens = 1024
)

func newTokenCache(log *slog.Logger) *tokenCache {
	return &tokenCache{log: log, known: map[string]cachedToken{}, touched: map[string]time.Time{}}
}

// errNotCached says that a token is not in the cache and the database was not to be asked.
var errNotCached = errors.New("the token is not remembered")

// find returns the token of a secret, or an *index.NotFoundError. With cachedOnly it does
// not ask the database, and returns errNotCached for what only the database could know.
func (c *tokenCache) find(ctx context.Context, store Store, secret string, now time.Time, cachedOnly bool) (index.Token, error) {
	if !access.MayBeToken(secret) {
		if cachedOnly {
			return index.Token{}, errNotCached
		}
		return index.Token{}, &index.NotFoundError{What: "token"}
	}
	hash := access.Hash(secret)
	c.mu.Lock()
	hit, ok := c.known[string(hash)]
	c.mu.Unlock()
	if ok && now.Before(hit.until) {
		return hit.token, nil
	}
	if cachedOnly {
		return index.Token{}, errNotCached
	}
	t, err := store.TokenByHash(ctx, hash)
	if err != nil {
		return index.Token{}, err
	}
	if subtle.ConstantTimeCompare(t.Hash, hash) != 1 {
		return index.Token{}, &index.NotFoundError{What: "token"}
	}
	if c.remember(t, now) {
		c.touch(ctx, store, t.ID, now)
	}
	return t, nil
}

// touch writes down that a token was used. A request is not refused because that failed.
func (c *tokenCache) touch(ctx context.Context, store Store, id string, now time.Time) {
	if err := store.TouchToken(ctx, id, now); err != nil {
		c.log.Warn("could not note that a token was used", "token", id, "error", err)
	}
}

// remember caches a token and reports whether its last use should be written down.
func (c *tokenCache) remember(t index.Token, now time.Time) (touch bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) >= cachedTokens {
		clear(c.known)
		clear(c.touched)
	}
	c.known[string(t.Hash)] = cachedToken{t, now.Add(tokenTrust)}
	if now.Sub(c.touched[t.ID]) < touchEvery {
		return false
	}
	c.touched[t.ID] = now
	return true
}

// forget makes a revoked token invalid at once.
func (c *tokenCache) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.known, func(_ string, t cachedToken) bool { return t.token.ID == id })
}

// checkHost refuses a request that needs a token only because of the name that it is
// addressed to. Otherwise any web page could point its own name at the loopback address
// and read everything.
func (s *Server) checkHost(r *http.Request) error {
	if s.rule.AnswersTo(r.Host) || r.Header.Get("Authorization") != "" || s.doubt(r) != access.ForeignHost {
		return nil
	}
	return newProblem(http.StatusMisdirectedRequest,
		"this server answers without a token only to names of its own machine, not to %s: use 127.0.0.1 or localhost, bring a token, or name it with --allow-host",
		job.Quote(r.Host))
}
