package report

import (
	"context"
	"net/http"
	"strconv"
	"sync/atomic"

	"stint.dev/stint/job"
)

// healthchecks is a server that speaks as Healthchecks does: POST URL/start when the run starts, and POST
// URL/CODE when it has ended. Both have the id of the run as rid, so that runs that overlap are distinguished
// there. It has no heartbeats.
type healthchecks struct {
	*httpReporter
	run   string
	limit atomic.Int64         // how many bytes of output it takes; 0 if it did not say
	tail  atomic.Pointer[Tail] // the end of the output; nil for none
}

// limitHeader is where the server says how many bytes of a body it keeps.
const limitHeader = "Ping-Body-Limit"

// maxCode is the highest exit code that the server takes.
const maxCode = 255

// Status implements Reporter. The end has the last of the output as body: as much as the server takes. A run
// without output has the sentence that says how it ended.
func (h *healthchecks) Status(ctx context.Context, _ string, o *job.Outcome) error {
	if o == nil {
		header, err := h.post(ctx, "/start", nil)
		if n, bad := strconv.ParseInt(header.Get(limitHeader), 10, 64); bad == nil && n >= 0 {
			h.limit.Store(max(n, 1)) // 0 means that it is not known
		}
		return err
	}
	_, err := h.post(ctx, "/"+strconv.Itoa(codeOf(*o)), h.body(*o))
	return err
}

// body returns the body of the end.
func (h *healthchecks) body(o job.Outcome) []byte {
	limit := int(min(h.limit.Load(), maxTail))
	if limit == 0 {
		limit = untoldTail
	}
	if t := h.tail.Load(); t != nil {
		if output := t.Last(limit); len(output) > 0 {
			return output
		}
	}
	return []byte(o.Message)
}

// Heartbeat implements Reporter.
func (h *healthchecks) Heartbeat(context.Context) error { return nil }

func (h *healthchecks) post(ctx context.Context, path string, body []byte) (http.Header, error) {
	return h.send(ctx, http.MethodPost, path+"?rid="+h.run, "text/plain; charset=utf-8", body)
}

// codeOf returns the exit code of a run: 0 only for one that succeeded.
func codeOf(o job.Outcome) int {
	if o.State == job.Succeeded {
		return 0
	}
	return min(max(o.ProcessExitCode(), 1), maxCode)
}
