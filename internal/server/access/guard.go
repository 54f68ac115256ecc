package access

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server/conns"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job"
)

// Authorize returns the caller that sent a request. It returns an error, which is a *httpio.Problem or
// one of the store, if the caller is not known or may not use the route.
func (s *Guard) Authorize(r *http.Request, rt route.Row) (access.Caller, error) {
	if rt.Scope == access.Agent && s.AgentCertificates && (r.TLS == nil || len(r.TLS.VerifiedChains) == 0) {
		return access.Caller{}, httpio.NewProblem(http.StatusUnauthorized,
			"this server accepts journals only from agents with a client certificate: start the agent with --tls-cert and --tls-key")
	}
	if rt.Scope == access.Public {
		return access.Caller{Via: access.ViaNone}, nil
	}
	if run, attempt, err := httpio.AttemptOf(r); rt.Scope == access.Agent && err == nil {
		defer s.Pending(run, attempt)()
	}
	a, err := s.identify(r)
	if err != nil {
		return a, err
	}
	switch {
	case a.Scope == access.Public:
		return a, httpio.NewProblem(http.StatusUnauthorized, "%s", access.Refusal(a.Doubt, conns.PeerOf(r), os.Geteuid(), rt.Scope))
	case !a.Scope.Allows(rt.Scope):
		return a, httpio.NewProblem(http.StatusForbidden, "%s has the scope %s, but this request needs the scope %s", job.Quote(a.Name), a.Scope, rt.Scope)
	case (a.Via == access.ViaSession || a.Via == access.ViaOIDC) && !route.Safe(r.Method) && r.Header.Get("X-Stint-CSRF") == "":
		return a, httpio.NewProblem(http.StatusForbidden, "a request with the cookie of a session that changes something needs the header X-Stint-CSRF: 1")
	}
	return a, nil
}

// WhileAllowed returns the request with a context that ends when its caller may no longer use the
// route, because a stream must not outlive its token, session or grant. The returned function releases
// the timer, and must be called after the request.
func (s *Guard) WhileAllowed(rt route.Row, r *http.Request) (*http.Request, func()) {
	ctx, end := context.WithCancel(r.Context())
	r = r.WithContext(ctx)
	var mu sync.Mutex // guards timer
	var timer *time.Timer
	check := func() {
		_, err := s.Authorize(r, rt)
		var refused *httpio.Problem
		if errors.As(err, &refused) && refused.Status != http.StatusTooManyRequests {
			end()
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if ctx.Err() == nil {
			timer.Reset(s.AccessCheckInterval)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(s.AccessCheckInterval, check)
	return r, func() {
		end()
		mu.Lock()
		defer mu.Unlock()
		timer.Stop()
	}
}

// identify returns the caller that sent a request, from its token or the cookie of its session. A
// request with neither has the scope Public unless its connection is trusted. An invalid token or
// session is an error, also if none is needed.
func (s *Guard) identify(r *http.Request) (access.Caller, error) {
	secret, ok := bearer(r)
	switch {
	case ok && access.IsAttemptToken(secret):
		return s.identifyAttempt(r, secret)
	case ok:
		return s.identifyToken(r, secret)
	case r.Header.Get(job.HeaderClaim) != "":
		return s.identifyClaim(r)
	}
	if c, err := r.Cookie(s.cookieName(r, sessionCookie)); err == nil {
		a, err := s.identifySession(r, c.Value)
		if err == nil {
			return a, nil
		}
		var p *httpio.Problem
		if !errors.As(err, &p) || s.doubt(r) != access.Trusted {
			return a, err
		}
	}
	if d := s.doubt(r); d != access.Trusted {
		return access.Caller{Via: access.ViaNone, Doubt: d}, nil
	}
	return access.Local(), nil
}

// doubt returns why a request without a token is not trusted.
func (s *Guard) doubt(r *http.Request) access.Doubt {
	return s.rule.Load().Judge(func() access.Peer { return conns.PeerOf(r) }, os.Geteuid(), r.Host, r.Header)
}

// identifyToken returns the caller that has a token.
func (s *Guard) identifyToken(r *http.Request, secret string) (access.Caller, error) {
	now := s.Now()
	t, err := s.findToken(r.Context(), secret)
	var notFound *query.NotFoundError
	switch {
	case errors.As(err, &notFound):
		return access.Caller{}, s.refuseToken(r, "the token is not valid on this server, or was revoked: create one with stint token create")
	case err != nil:
		return access.Caller{}, fmt.Errorf("look up token: %w", err)
	case t.ExpiresAt != nil && !now.Before(*t.ExpiresAt):
		s.recordRefused(r, "the token "+job.Quote(t.Name)+" has expired")
		return access.Caller{}, httpio.NewProblem(http.StatusUnauthorized, "the token %s expired at %s: create a new one with stint token create",
			job.Quote(t.Name), t.ExpiresAt.UTC().Format(time.RFC3339))
	}
	if t.Scope == string(access.Worker) {
		s.SawWorker() // another server on the database made it
	}
	return access.Caller{Name: t.Name, Scope: access.Scope(t.Scope), Via: access.ViaToken, Token: t.ID, Worker: t.Worker, Labels: t.Labels}, nil
}

// identifyAttempt returns the caller that has the token of the attempt that a request is about. The token
// of another attempt is not valid.
func (s *Guard) identifyAttempt(r *http.Request, secret string) (access.Caller, error) {
	run, attempt, err := httpio.AttemptOf(r)
	if err != nil {
		return access.Caller{}, httpio.NewProblem(http.StatusForbidden, "the token of an attempt is valid for the journal and the heartbeats of that attempt only")
	}
	incarnation, ok := access.CheckAttemptToken(s.Store.TokenKey(), secret, run, attempt)
	if !ok {
		return access.Caller{}, s.refuseToken(r, "the token is not that of attempt %d of run %s on this server", attempt, run)
	}
	return access.Caller{Name: "attempt " + strconv.Itoa(attempt) + " of run " + run, Scope: access.Agent, Via: access.ViaAttempt, Incarnation: incarnation}, nil
}

// identifyClaim returns the caller that asks with the token of a claim for the permit to start its attempt.
// Whether the claim lasts, and is for this attempt, the permit decides.
func (s *Guard) identifyClaim(r *http.Request) (access.Caller, error) {
	run, attempt, err := httpio.AttemptOf(r)
	if err != nil || r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/journal") {
		return access.Caller{}, httpio.NewProblem(http.StatusForbidden, "the token of a claim is valid for the request of the permit to start its attempt only")
	}
	claim, ok := access.ClaimOf(s.Store.TokenKey(), r.Header.Get(job.HeaderClaim))
	if !ok {
		return access.Caller{}, s.refuseToken(r, "the token in the header %s is not that of a claim on this server", job.HeaderClaim)
	}
	return access.Caller{Name: "claim " + claim + " of attempt " + strconv.Itoa(attempt) + " of run " + run, Scope: access.Agent, Via: access.ViaClaim}, nil
}

// refuseToken counts a wrong token of an address, and returns the problem to respond with.
func (s *Guard) refuseToken(r *http.Request, format string, args ...any) error {
	now, from := s.Now(), conns.AddressOf(r)
	s.WrongToken()
	s.recordRefused(r, "the token is not valid")
	if wait := s.failures.Wait(from, now); wait > 0 {
		return httpio.Busy(http.StatusTooManyRequests, wait, "the token is not valid on this server, and this address has sent too many wrong tokens: wait")
	}
	s.failures.Count(from, now)
	return httpio.NewProblem(http.StatusUnauthorized, format, args...)
}
