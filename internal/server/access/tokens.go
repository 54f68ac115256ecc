package access

import (
	"context"
	"crypto/subtle"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/periodic"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server/conns"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/job"
)

// bearer returns the secret in the Authorization header of a request; ok is false without the header.
// The password of HTTP Basic is one too, because clients of the compat API may only support
// http://any:stint_…@host/compat/JOB. A header of another form has an empty secret, which no token has.
func bearer(r *http.Request) (secret string, ok bool) {
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

// findToken returns the token with a secret, or a *query.NotFoundError.
func (s *Guard) findToken(ctx context.Context, secret string) (access.Token, error) {
	if !access.MayBeToken(secret) {
		return access.Token{}, &query.NotFoundError{What: "token"}
	}
	now, hash := s.Now(), access.Hash(secret)
	if t, ok := s.tokens.Get(hash, now); ok {
		return t, nil
	}
	revoked := s.tokens.Revoked()
	t, err := s.Store.TokenByHash(ctx, hash)
	if err != nil {
		return access.Token{}, err
	}
	if subtle.ConstantTimeCompare(t.Hash, hash) != 1 {
		return access.Token{}, &query.NotFoundError{What: "token"}
	}
	s.tokens.Put(t, revoked, now)
	return t, nil
}

const (
	// tokensInterval is the interval at which FollowTokens reads whether tokens were revoked, and
	// stores when tokens were used. maxUses is how many uses it stores at once, to keep the write short.
	tokensInterval = time.Second
	maxUses        = 200
)

// FollowTokens reads whether tokens were revoked, and stores when tokens were used, until ctx ends.
func (s *Guard) FollowTokens(ctx context.Context) {
	periodic.Loop{Every: tokensInterval, Now: s.Now}.Run(ctx, func(now time.Time) error {
		s.storeUses(ctx, maxUses)
		for addr, times := range s.refusals.Due(now) {
			s.reportRefused(ctx, prefixText(addr), "as reported before", "", times)
		}
		s.checkTokens(ctx)
		return nil
	})
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	s.storeUses(last, math.MaxInt)
}

// recordRefused reports a refused login or token in the log and the audit log: the first of an address
// at once, further ones once a minute.
func (s *Guard) recordRefused(r *http.Request, why string) {
	if times := s.refusals.Count(conns.AddressOf(r), s.Now()); times > 0 {
		s.reportRefused(r.Context(), access.ClientText(r), why, r.URL.Path, times)
	}
}

// reportRefused writes refused logins or tokens of an address to the log and the audit log.
func (s *Guard) reportRefused(ctx context.Context, address, why, target string, times int) {
	s.Log.Warn("a login or token was refused", "address", address, "why", why, "times", times)
	action := "refused"
	if times > 1 {
		action = fmt.Sprintf("refused, %d times", times)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	err := s.Store.Audit(ctx, access.AuditEntry{
		At: s.Now().UTC(), Via: access.ViaNone, Address: address, Action: action, Target: target, Status: http.StatusUnauthorized,
	})
	if err != nil {
		s.Log.Error("could not write to the audit log", "action", action, "address", address, "error", err)
	}
}

// prefixText returns the text of an address, or of the network that counts as one.
func prefixText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// checkTokens reads whether tokens were revoked. While that fails, requests read their tokens from the
// store.
func (s *Guard) checkTokens(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	now := s.Now()
	if revoked, err := s.Store.RevokedTokens(ctx); err == nil {
		s.tokens.SetRevoked(revoked, now)
	}
}

// storeUses stores when up to limit tokens were used. After an error these uses are lost, because no
// request is refused for them.
func (s *Guard) storeUses(ctx context.Context, limit int) {
	used := s.tokens.TakeUsed(limit)
	if len(used) == 0 {
		return
	}
	if err := s.Store.TouchTokens(ctx, used); err != nil && ctx.Err() == nil {
		s.Log.Warn("could not store the use of tokens", "tokens", len(used), "error", err)
	}
}

// CheckHost returns an error for a request that needs a token only because of its Host header. Without
// this check any web page could have its own name resolve to the loopback address and read everything.
func (s *Guard) CheckHost(r *http.Request) error {
	if s.rule.Load().AnswersTo(r.Host) || r.Header.Get("Authorization") != "" || s.doubt(r) != access.ForeignHost {
		return nil
	}
	return httpio.NewProblem(http.StatusMisdirectedRequest,
		"without a token this server accepts only the host names of its own machine, and not %s: use 127.0.0.1 or localhost, send a token, or allow the name with --allow-host",
		job.Quote(r.Host))
}
