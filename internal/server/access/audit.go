package access

import (
	"cmp"
	"context"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job"
)

// statusWriter records the status of a response.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap returns the wrapped writer for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// HandleAudited calls a handler, and adds the request with the status of the response to the audit log.
func (s *Guard) HandleAudited(rt route.Row, h http.HandlerFunc, w http.ResponseWriter, r *http.Request) {
	sw := &statusWriter{ResponseWriter: w}
	ctx, detail := access.WithDetail(r.Context())
	h(sw, r.WithContext(ctx))
	// The request's context ends with the client, but the entry is written.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), storeTimeout)
	defer cancel()
	s.audit(r.WithContext(ctx), access.CallerOf(ctx), rt.Key(), sw.status, detail())
}

type auditIn struct {
	Who    string    `query:"who" maxLength:"200" doc:"Only changes by this token or person"`
	Q      string    `query:"q" maxLength:"256" doc:"Only entries with this text in action, target or detail"`
	Since  time.Time `query:"since" doc:"Only changes at this time or later; RFC 3339"`
	Until  time.Time `query:"until" doc:"Only changes before this time; RFC 3339"`
	Limit  int       `query:"limit" minimum:"1" maximum:"500" default:"100" doc:"The most entries to return"`
	Cursor int64     `query:"cursor" minimum:"0" doc:"next_cursor of the page before"`
}

type auditPage struct {
	Entries    []access.AuditEntry `json:"entries"`
	NextCursor int64               `json:"next_cursor,omitempty" doc:"Pass it as cursor for older entries; not there on the last page"`
}

// ListAudit responds with a page of the audit log, newest entries first.
func (s *Guard) ListAudit(ctx context.Context, in *auditIn) (*route.Response[auditPage], error) {
	for _, text := range []string{in.Who, in.Q} {
		if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
			return nil, httpio.NewProblem(http.StatusBadRequest, "%s is not text", job.Quote(text))
		}
	}
	entries, err := s.Store.AuditLog(ctx, query.Audit{Who: in.Who, Text: in.Q, Since: in.Since, Until: in.Until, Before: in.Cursor, Limit: in.Limit + 1})
	if err != nil {
		return nil, s.ProblemOf(ctx, "read the audit log", err)
	}
	page := auditPage{Entries: entries}
	if len(entries) > in.Limit {
		page.Entries = entries[:in.Limit]
		page.NextCursor = page.Entries[in.Limit-1].ID
	}
	return route.OK(page)
}

// audit adds an entry to the audit log. If that fails, the error is logged, because the request has
// been done.
func (s *Guard) audit(r *http.Request, a access.Caller, action string, status int, detail string) {
	e := access.AuditEntry{
		At: s.Now().UTC(), Who: a.Name, Via: a.Via, Address: access.ClientText(r), Action: action, Target: r.URL.Path, Status: status, Detail: detail,
	}
	s.Log.Info(action, "who", cmp.Or(e.Who, "-"), "via", e.Via, "from", e.Address, "target", e.Target, "status", e.Status, "detail", e.Detail)
	if err := s.Store.Audit(r.Context(), e); err != nil {
		s.Log.Error("could not write to the audit log", "who", e.Who, "action", action, "target", e.Target, "error", err)
	}
}
