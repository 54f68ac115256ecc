package permit

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"stint.dev/stint/client"
	"stint.dev/stint/job"
)

var errAway = &client.UnreachableError{URL: "http://server", Err: errors.New("connection refused")}

// fakeServer answers from two lists; nil is no answer until the context ends. The last entry of a
// list is repeated.
type fakeServer struct {
	begun time.Time
	// permits and beats are what is answered, in order.
	permits []func() (client.PermitReply, error)
	beats   []func() (job.HeartbeatReply, error)
	// asked and sent are when the requests came.
	asked, sent []time.Duration
	requests    []client.PermitRequest
}

func (s *fakeServer) AskPermit(ctx context.Context, r client.PermitRequest) (client.PermitReply, error) {
	s.asked, s.requests = append(s.asked, time.Since(s.begun)), append(s.requests, r)
	answer := s.permits[min(len(s.asked), len(s.permits))-1]
	if answer == nil {
		<-ctx.Done()
		return client.PermitReply{}, ctx.Err()
	}
	return answer()
}

func (s *fakeServer) Beat(ctx context.Context, _ string, _ int, hb job.Heartbeat) (job.HeartbeatReply, error) {
	s.sent = append(s.sent, time.Since(s.begun))
	if hb.Sequence != 0 || hb.UptimeMS != 0 {
		return job.HeartbeatReply{}, errors.New("the heartbeat has figures")
	}
	answer := s.beats[min(len(s.sent), len(s.beats))-1]
	if answer == nil {
		<-ctx.Done()
		return job.HeartbeatReply{}, ctx.Err()
	}
	return answer()
}

func granted(lease time.Duration) func() (client.PermitReply, error) {
	return func() (client.PermitReply, error) {
		return client.PermitReply{Permit: job.Permit{Answer: job.PermitGranted, LeaseMS: lease.Milliseconds(), AttemptToken: "sta_x"}, Size: 7}, nil
	}
}

func refused(why string) func() (client.PermitReply, error) {
	return func() (client.PermitReply, error) {
		return client.PermitReply{Permit: job.Permit{Answer: job.PermitRefused, Why: why}}, nil
	}
}

func failed(err error) func() (client.PermitReply, error) {
	return func() (client.PermitReply, error) { return client.PermitReply{}, err }
}

func problem(status int, kind string) error {
	return &job.Problem{Type: kind, Status: status, Title: http.StatusText(status)}
}

// request is a request for a permit whose claim lasts 15 s from now, on the clock of the test.
func request(s *fakeServer) Request {
	s.begun = time.Now()
	return Request{
		Server: s, PermitRequest: client.PermitRequest{Run: "r", Attempt: 2, Claim: "c", Incarnation: NewIncarnation(), Journal: []byte("journal")},
		Until: 15 * time.Second, Clock: func() time.Duration { return time.Since(s.begun) },
	}
}

func TestAsk(t *testing.T) {
	for name, c := range map[string]struct {
		permits []func() (client.PermitReply, error)
		granted bool
		says    string
		times   []time.Duration // of the requests
	}{
		"at once":             {[]func() (client.PermitReply, error){granted(time.Minute)}, true, "", []time.Duration{0}},
		"refused":             {[]func() (client.PermitReply, error){refused("canceled by ada")}, false, "the server refuses the start: canceled by ada", []time.Duration{0}},
		"the run was deleted": {[]func() (client.PermitReply, error){failed(problem(410, job.ProblemRunDeleted))}, false, "the server refuses the start: Gone (HTTP 410)", []time.Duration{0}},
		"away, then there": {
			[]func() (client.PermitReply, error){failed(errAway), failed(problem(500, job.ProblemInternal)), failed(problem(409, job.ProblemConflict)), granted(time.Minute)},
			true, "",
			[]time.Duration{0, 100 * time.Millisecond, 300 * time.Millisecond, 700 * time.Millisecond},
		},
		"a reply without a permit is none": {
			[]func() (client.PermitReply, error){failed(&client.ForeignReplyError{Status: 200, Why: "has no permit"}), granted(time.Minute)},
			true, "",
			[]time.Duration{0, 100 * time.Millisecond},
		},
		"an answer that is lost": {
			[]func() (client.PermitReply, error){nil, granted(time.Minute)}, true, "", []time.Duration{0, 5100 * time.Millisecond},
		},
		"a wrong token": {
			[]func() (client.PermitReply, error){failed(problem(401, job.ProblemUnauthorized)), granted(time.Minute)}, true, "", []time.Duration{0, time.Second},
		},
		"never answered": {
			[]func() (client.PermitReply, error){nil},
			false, "the claim ended before the server answered: context deadline exceeded",
			[]time.Duration{0, 5100 * time.Millisecond, 10300 * time.Millisecond},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &fakeServer{permits: c.permits}
				r := request(s)
				p, err := Ask(t.Context(), r)
				if c.granted != (err == nil) || err != nil && err.Error() != c.says {
					t.Errorf("%+v, %v", p, err)
				}
				if !slices.Equal(s.asked, c.times) {
					t.Errorf("asked at %v, want %v", s.asked, c.times)
				}
				for _, sent := range s.requests {
					if sent.Incarnation != r.Incarnation || sent.Claim != "c" || string(sent.Journal) != "journal" {
						t.Errorf("asked %+v", sent)
					}
				}
				if err == nil && (p.Token != "sta_x" || p.Size != 7) {
					t.Errorf("permit %+v", p)
				}
				if since := time.Since(s.begun); since > r.Until {
					t.Errorf("gave up after %s, the claim lasts %s", since, r.Until)
				}
			})
		})
	}
}

// A claim that had ended before is not asked for.
func TestAskAfterTheClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		r := request(s)
		r.Until = 0
		var ended *ClaimEndedError
		if _, err := Ask(t.Context(), r); !errors.As(err, &ended) || len(s.asked) != 0 {
			t.Errorf("%v, asked %v", err, s.asked)
		}
	})
}

func TestAskIsInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{permits: []func() (client.PermitReply, error){nil}}
		why := errors.New("asked to end")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(2*time.Second, func() { cancel(why) })
		if _, err := Ask(ctx, request(s)); !errors.Is(err, why) || time.Since(s.begun) != 2*time.Second {
			t.Errorf("%v after %s", err, time.Since(s.begun))
		}
	})
}

func owner(is bool, lease time.Duration) func() (job.HeartbeatReply, error) {
	return func() (job.HeartbeatReply, error) {
		return job.HeartbeatReply{Owner: is, LeaseMS: lease.Milliseconds(), NextMS: 5000}, nil
	}
}

func TestConfirm(t *testing.T) {
	const lease = 20 * time.Second
	beatFails := func() (job.HeartbeatReply, error) { return job.HeartbeatReply{}, errAway }
	for name, c := range map[string]struct {
		age   time.Duration
		lease time.Duration
		beats []func() (job.HeartbeatReply, error)
		says  string // of the error; empty for none
		sent  int    // heartbeats
	}{
		"young":                    {9999 * time.Millisecond, lease, nil, "", 0},
		"old and confirmed":        {10 * time.Second, lease, []func() (job.HeartbeatReply, error){owner(true, lease)}, "", 1},
		"old and superseded":       {10 * time.Second, lease, []func() (job.HeartbeatReply, error){owner(false, lease)}, ErrSuperseded.Error(), 1},
		"confirmed at the second":  {time.Hour, lease, []func() (job.HeartbeatReply, error){beatFails, owner(true, lease)}, "", 2},
		"no lease was given":       {0, 0, []func() (job.HeartbeatReply, error){owner(true, 0)}, "", 1},
		"no answer":                {10 * time.Second, lease, []func() (job.HeartbeatReply, error){nil}, "the permit to start was 10s old, and the server did not confirm it: context deadline exceeded", 3},
		"the server does not know": {10 * time.Second, lease, []func() (job.HeartbeatReply, error){func() (job.HeartbeatReply, error) { return job.HeartbeatReply{}, problem(410, job.ProblemRunDeleted) }}, "the permit to start was 10s old, and the server did not confirm it: Gone (HTTP 410)", 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &fakeServer{permits: []func() (client.PermitReply, error){granted(c.lease)}, beats: c.beats}
				p, err := Ask(t.Context(), request(s))
				if err != nil {
					t.Fatal(err)
				}
				<-time.After(c.age)
				err = p.Confirm(t.Context(), s)
				if c.says == "" && err != nil || c.says != "" && (err == nil || err.Error() != c.says) {
					t.Errorf("%v, want %q", err, c.says)
				}
				if len(s.sent) != c.sent {
					t.Errorf("%d heartbeats, want %d", len(s.sent), c.sent)
				}
			})
		})
	}
}

// The age counts from before the request that was answered: a permit that was granted to a request
// whose answer took longer than half of the lease is old when it arrives.
func TestPermitThatArrivesOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{beats: []func() (job.HeartbeatReply, error){owner(true, 2*time.Second)}}
		s.permits = []func() (client.PermitReply, error){func() (client.PermitReply, error) {
			<-time.After(time.Second)
			return granted(2 * time.Second)()
		}}
		p, err := Ask(t.Context(), request(s))
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Confirm(t.Context(), s); err != nil || len(s.sent) != 1 {
			t.Errorf("%v, %d heartbeats", err, len(s.sent))
		}
	})
}

// A confirmation that arrives old is none.
func TestConfirmationThatArrivesOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{permits: []func() (client.PermitReply, error){granted(2 * time.Second)}}
		slow := func() (job.HeartbeatReply, error) {
			<-time.After(3 * time.Second)
			return owner(true, 2*time.Second)()
		}
		s.beats = []func() (job.HeartbeatReply, error){slow, owner(true, 2*time.Second)}
		p, err := Ask(t.Context(), request(s))
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Second)
		if err := p.Confirm(t.Context(), s); err != nil || len(s.sent) != 2 {
			t.Errorf("%v, %d heartbeats", err, len(s.sent))
		}
	})
}

func TestIncarnationsDiffer(t *testing.T) {
	a, b := NewIncarnation(), NewIncarnation()
	if a == b || len(a) != 32 || strings.Trim(a, "0123456789abcdef") != "" {
		t.Errorf("%q, %q", a, b)
	}
}

func (s *fakeServer) Append(context.Context, string, int, int64, []byte) (job.AppendReply, error) {
	return job.AppendReply{}, errors.New("nothing is to be appended")
}
