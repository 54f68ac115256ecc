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

// findToken returns the token of a secret, or an *query.NotFoundError.
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
	// tokensEvery is the pause between two looks whether tokens were revoked, and two writes of
	// when tokens were used; mostUses is how many go into one write, so that it holds up nobody.
	tokensEvery = time.Second
	mostUses    = 200
)

// FollowTokens looks whether tokens were revoked, and writes down when they were used, until ctx
// ends.
func (s *Guard) FollowTokens(ctx context.Context) {
	periodic.Loop{Every: tokensEvery, Now: s.Now}.Run(ctx, func(now time.Time) error {
		s.writeUses(ctx, mostUses)
		for addr, times := range s.refusals.Due(now) {
			s.reportRefused(ctx, prefixText(addr), "the same as before", "", times)
		}
		s.checkTokens(ctx)
		return nil
	})
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTime)
	defer cancel()
	s.writeUses(last, math.MaxInt)
}

// refused reports a refused log-in or token in the log and the audit log: the first of an
// address at once, further ones once a minute.
func (s *Guard) refused(r *http.Request, why string) {
	if times := s.refusals.Count(conns.AddressOf(r), s.Now()); times > 0 {
		s.reportRefused(r.Context(), httpio.RemoteHost(r), why, r.URL.Path, times)
	}
}

func (s *Guard) reportRefused(ctx context.Context, address, why, target string, times int) {
	s.Log.Warn("a log-in or token was refused", "address", address, "why", why, "times", times)
	action := "refused"
	if times > 1 {
		action = fmt.Sprintf("refused, %d times", times)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTime)
	defer cancel()
	err := s.Store.Audit(ctx, access.AuditEntry{
		At: s.Now().UTC(), Via: access.ViaNone, Address: address, Action: action, Target: target, Status: http.StatusUnauthorized,
	})
	if err != nil {
		s.Log.Error("could not write to the audit log", "action", action, "address", address, "error", err)
	}
}

// prefixText is an address, or the network that counts as it.
func prefixText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// checkTokens looks whether tokens were revoked. While the database does not say, requests look
// up their tokens themselves.
func (s *Guard) checkTokens(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	now := s.Now()
	if revoked, err := s.Store.RevokedTokens(ctx); err == nil {
		s.tokens.Checked(revoked, now)
	}
}

// writeUses writes down when tokens were used. One that cannot be written is lost: no
// request is refused because of it.
func (s *Guard) writeUses(ctx context.Context, most int) {
	used := s.tokens.TakeUsed(most)
	if len(used) == 0 {
		return
	}
	if err := s.Store.TouchTokens(ctx, used); err != nil && ctx.Err() == nil {
		s.Log.Warn("could not note that tokens were used", "tokens", len(used), "error", err)
	}
}

// CheckHost refuses a request that needs a token only because of the name that it is
// addressed to. Otherwise any web page could point its own name at the loopback address
// and read everything.
func (s *Guard) CheckHost(r *http.Request) error {
	if s.rule.Load().AnswersTo(r.Host) || r.Header.Get("Authorization") != "" || s.doubt(r) != access.ForeignHost {
		return nil
	}
	return httpio.NewProblem(http.StatusMisdirectedRequest,
		"this server answers without a token only to names of its own machine, not to %s: use 127.0.0.1 or localhost, bring a token, or name it with --allow-host",
		job.Quote(r.Host))
}
