package queue

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job"
)

const (
	// MaxClaim is the most bytes of a request for runs: it names up to 10,000 attempts.
	MaxClaim        = 2 << 20
	mostClaimValues = 80_000
	// longestWait is the longest time that a request is held open.
	longestWait = time.Minute
)

// DocClaims describes PostClaims.
var DocClaims = route.Doc{
	Text: "Asks for runs for a worker. The request is held open until there is a run, at most for wait_ms. Asking again with the same " +
		"claim_id returns the same runs. A claim lasts 15 s, and longer while the worker names it in starting. Nothing of a claimed run " +
		"has started: its agent needs a permit, with its first append. A token of the scope worker is for one name and for its labels. " +
		"409: the name belongs to another worker.",
	Request: "application/json", Body: job.ClaimRequest{},
	Answers: []route.Content{route.JSON(job.ClaimReply{})},
	Errors:  []int{400, 403, 409, 413, 429},
}

// PostClaims answers a worker's request for runs.
func (s *Routes) PostClaims(w http.ResponseWriter, r *http.Request) {
	var in job.ClaimRequest
	worker := r.PathValue("worker")
	err := httpio.NewParams(r).Err
	if err == nil {
		r.Body = http.MaxBytesReader(w, httpio.NewPacedReader(w, r, bodyPause, bodyTime), MaxClaim)
		err = httpio.ReadManyJSON(r, "a request for runs", false, mostClaimValues, &in) // the worker may be newer
	}
	if err == nil {
		err = mayAsk(access.CallerOf(r.Context()), isLocal(r), worker, in)
	}
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	s.Polled(isLocal(r))
	place, err := s.open.Enter(access.CallerOf(r.Context()).Owner(), 1, nil)
	if err != nil {
		s.Fail(w, r, httpio.Busy(http.StatusTooManyRequests, 5*time.Second, "too many workers wait for runs: %s", err))
		return
	}
	defer place.Leave()
	reply, err := s.claim(r.Context(), worker, in)
	_ = http.NewResponseController(w).SetWriteDeadline(httpio.ResponseDeadline()) // only the recorder of a test has none
	if err != nil {
		s.Fail(w, r, asProblem(err))
		return
	}
	httpio.OK(w, reply)
}

// claim asks the store until there is something to answer, or the time is over. Between two questions it
// does nothing.
func (s *Routes) claim(ctx context.Context, worker string, in job.ClaimRequest) (job.ClaimReply, error) {
	poll := s.polls.Enter()
	defer poll.Leave()
	first, err := s.Workers.Claim(ctx, worker, in)
	if err != nil || len(first.Claims) > 0 || in.Leaving {
		return first, err
	}
	over := time.NewTimer(job.Milliseconds(in.WaitMS, 0, longestWait))
	defer over.Stop()
	for reply := first; ; {
		select {
		case <-poll.Turn():
			reply, err = s.Workers.Claim(ctx, worker, in)
			if left, lerr := s.Workers.AnyReady(ctx); lerr == nil && !left {
				poll.NoneLeft()
			}
			poll.Done()
			if err != nil || len(reply.Claims) > 0 || reply.Draining != first.Draining {
				return reply, err
			}
		case <-over.C:
			reply.Now = s.Now().UTC()
			return reply, nil
		case <-s.Stopping:
			return reply, nil
		case <-ctx.Done(): // that a connection closed means nothing: the claims of its answers stay
			return reply, ctx.Err()
		}
	}
}

// mayAsk returns an error unless a caller may ask for the runs of a worker. local reports whether the
// request comes from the server's own machine.
func mayAsk(who access.Caller, local bool, worker string, in job.ClaimRequest) error {
	if err := job.CheckWorker(worker); err != nil {
		return err
	}
	if who.Via == access.ViaNone && !local {
		return httpio.NewProblem(http.StatusForbidden,
			"this server asks for no tokens (--insecure), so it gives runs only to workers on its own machine: anybody could take them")
	}
	return mayBe(who, worker, in.Labels)
}

// isLocal reports whether a request comes from the server's own machine.
func isLocal(r *http.Request) bool {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && from.Addr().Unmap().IsLoopback() && !access.IsForwarded(r.Header)
}

// mayBe returns an error if a token of the scope worker is for another name or for fewer labels.
func mayBe(who access.Caller, worker string, labels map[string]string) error {
	if why := who.RefuseWorker(worker, labels); why != "" {
		return httpio.NewProblem(http.StatusForbidden, "%s", why)
	}
	return nil
}
