package delivery

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"stint.dev/stint/client"
	"stint.dev/stint/job"
)

func problem(status int, kind string) *job.Problem {
	return &job.Problem{Type: kind, Status: status, Title: http.StatusText(status), RetryAfter: 7 * time.Second}
}

func foreign(status int) *client.ForeignReplyError {
	return &client.ForeignReplyError{URL: "http://server", Status: status, RetryAfter: 9 * time.Second}
}

func at(size int64, p *job.Problem) *job.Problem {
	p.Size = &size
	return p
}

func TestDecide(t *testing.T) {
	long := problem(503, job.ProblemUnavailable)
	long.RetryAfter = 400 * time.Hour
	negative := foreign(429)
	negative.RetryAfter = -time.Second
	for _, c := range []struct {
		err  error
		want Decision
	}{
		{nil, Decision{Action: Proceed}},
		{at(5, problem(409, job.ProblemWrongOffset)), Decision{Action: Resume, Size: 5}},
		{problem(409, job.ProblemWrongOffset), Decision{Action: Outage}},
		{at(5, problem(409, job.ProblemJournalWhole)), Decision{Action: Whole, Size: 5}},
		{problem(409, job.ProblemJournalWhole), Decision{Action: Outage}},
		{at(5, problem(403, job.ProblemJournalWhole)), Decision{Action: FixToken, Wait: time.Minute}},
		{problem(409, job.ProblemRunIDUsed), Decision{Action: Refused}},
		{problem(409, job.ProblemRunSubmitted), Decision{Action: Refused}},
		{problem(409, job.ProblemJournalTaken), Decision{Action: Taken}},
		{problem(422, job.ProblemJournalTaken), Decision{Action: Outage}},
		{problem(409, job.ProblemConflict), Decision{Action: Outage}},
		{problem(410, job.ProblemRunDeleted), Decision{Action: Deleted}},
		{problem(404, job.ProblemRunDeleted), Decision{Action: Outage}},
		{problem(413, job.ProblemJournalRefused), Decision{Action: Refused}},
		{problem(415, job.ProblemJournalRefused), Decision{Action: Refused}},
		{problem(422, job.ProblemJournalRefused), Decision{Action: Refused}},
		{problem(400, job.ProblemJournalRefused), Decision{Action: Outage}},
		{problem(413, job.ProblemTooLarge), Decision{Action: Split}},
		{problem(415, job.ProblemUnsupportedType), Decision{Action: Outage}},
		{problem(422, job.ProblemInvalid), Decision{Action: Outage}},
		{problem(401, job.ProblemUnauthorized), Decision{Action: FixToken, Wait: time.Minute}},
		{problem(403, job.ProblemForbidden), Decision{Action: FixToken, Wait: time.Minute}},
		{problem(429, job.ProblemTooManyRequests), Decision{Action: Pause, Wait: 7 * time.Second}},
		{problem(503, job.ProblemUnavailable), Decision{Action: Pause, Wait: 7 * time.Second}},
		{long, Decision{Action: Pause, Wait: time.Minute}},
		{problem(400, job.ProblemInvalid), Decision{Action: Outage}},
		{problem(404, job.ProblemNotFound), Decision{Action: Outage}},
		{problem(421, job.ProblemUnknownHost), Decision{Action: Outage}},
		{problem(500, job.ProblemInternal), Decision{Action: Outage}},
		{problem(501, job.ProblemNotImplemented), Decision{Action: Outage}},
		// Without our type the status says nothing.
		{at(5, problem(409, "about:blank")), Decision{Action: Outage}},
		{problem(401, ""), Decision{Action: Outage}},
		{problem(410, "urn:other:run-deleted"), Decision{Action: Outage}},
		{foreign(413), Decision{Action: Split}},
		{foreign(429), Decision{Action: Outage, Wait: 9 * time.Second}},
		{foreign(503), Decision{Action: Outage, Wait: 9 * time.Second}},
		{negative, Decision{Action: Outage}},
		{&client.UnreachableError{URL: "http://server", Err: errors.New("refused")}, Decision{Action: Outage}},
		{context.DeadlineExceeded, Decision{Action: Outage}},
	} {
		wrapped := c.err
		if wrapped != nil {
			wrapped = fmt.Errorf("append: %w", c.err)
		}
		if got := Decide(wrapped); got != c.want {
			t.Errorf("Decide(%v) = %+v, want %+v", c.err, got, c.want)
		}
	}
}

// Whatever something else than a Stint server answers, the agent goes on, and does not count
// it for its server.
func TestNoForeignReplyIsFinal(t *testing.T) {
	for status := 100; status < 1000; status++ {
		for _, err := range []error{foreign(status), at(3, problem(status, "about:blank")), problem(status, "")} {
			if d := Decide(err); d.Final() || d.Reached() || d.Action == FixToken || d.Action == Resume {
				t.Errorf("Decide(%v) = %+v", err, d)
			}
		}
	}
}
