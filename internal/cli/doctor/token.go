package doctor

import (
	"context"
	"errors"
	"net/http"
	"time"

	"stint.dev/stint/client"
	"stint.dev/stint/job"
)

// noRun is an id that no run has: a heartbeat for it changes nothing.
const noRun = "00000000-0000-7000-8000-000000000000"

// checkToken makes one request that an agent must be allowed, and one that it need not be.
func checkToken(ctx context.Context, c *client.Client, given bool) Finding {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err := c.Beat(ctx, noRun, 1, job.Heartbeat{SentAt: time.Now(), Sequence: 1, OutputAgeMS: -1})
	if err == nil {
		_, readErr := c.Runs(ctx, client.RunsQuery{Limit: 1})
		return tokenFinding(given, nil, readErr)
	}
	return tokenFinding(given, err, nil)
}

// tokenFinding returns the result of the replies to delivering and to reading.
func tokenFinding(given bool, deliver, read error) Finding {
	switch status := statusOf(deliver); {
	case status == http.StatusUnauthorized && !given:
		return Finding{"token", "error", deliver.Error(), "give one in STINT_TOKEN; its scope must be agent"}
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return Finding{"token", "error", deliver.Error(), "set STINT_TOKEN to a valid token of the scope agent"}
	case deliver != nil:
		return Finding{"token", "warning", "not checked, because the server does not answer as expected", "see the first line"}
	case !given:
		return Finding{"token", "ok", "not needed: the server accepts this host without one", ""}
	case statusOf(read) == http.StatusForbidden:
		return Finding{"token", "ok", "valid, of the scope agent", ""}
	case read != nil:
		return Finding{"token", "ok", "valid for delivering; whether it may read is not known: " + read.Error(), ""}
	}
	return Finding{"token", "warning", "valid, and of the scope admin", "an agent needs no more than the scope agent: stint token create --scope agent"}
}

func statusOf(err error) int {
	var p *job.Problem
	if errors.As(err, &p) {
		return p.Status
	}
	return 0
}
