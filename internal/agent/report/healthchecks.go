package report

import (
	"context"
	"net/http"
	"strconv"

	"stint.dev/stint/job"
)

// healthchecks is a server that speaks as Healthchecks does: POST URL/start when the run starts, and POST
// URL/CODE when it has ended. Both have the id of the run as rid, so that runs that overlap are distinguished
// there. It has no heartbeats.
type healthchecks struct {
	*httpReporter
	run string
}

// maxCode is the highest exit code that the server takes.
const maxCode = 255

// Status implements Reporter. The end has its sentence as body.
func (h *healthchecks) Status(ctx context.Context, _ string, o *job.Outcome) error {
	if o == nil {
		return h.post(ctx, "/start", nil)
	}
	return h.post(ctx, "/"+strconv.Itoa(codeOf(*o)), []byte(o.Message))
}

// Heartbeat implements Reporter.
func (h *healthchecks) Heartbeat(context.Context) error { return nil }

func (h *healthchecks) post(ctx context.Context, path string, body []byte) error {
	return h.send(ctx, http.MethodPost, path+"?rid="+h.run, "text/plain; charset=utf-8", body)
}

// codeOf returns the exit code of a run: 0 only for one that succeeded.
func codeOf(o job.Outcome) int {
	if o.State == job.Succeeded {
		return 0
	}
	return min(max(o.ProcessExitCode(), 1), maxCode)
}
