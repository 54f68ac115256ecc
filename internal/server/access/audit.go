package access

import (
	"cmp"
	"context"
	"net/http"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/server/route"
)

// statusWriter remembers the status that was answered.
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

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// HandleAudited is a handler whose request goes into the audit log, with its result.
func (s *Guard) HandleAudited(rt route.Row, h http.HandlerFunc, w http.ResponseWriter, r *http.Request) {
	sw := &statusWriter{ResponseWriter: w}
	h(sw, r)
	// Not the request's context: it ends with the client, and what was done is written down.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), storeTime)
	defer cancel()
	s.audit(r.WithContext(ctx), access.CallerOf(ctx), rt.Key(), sw.status)
}

type auditIn struct {
	Limit  int   `query:"limit" minimum:"1" maximum:"500" default:"100" doc:"The most entries to return"`
	Cursor int64 `query:"cursor" minimum:"0" doc:"next_cursor of the page before"`
}

type auditPage struct {
	Entries    []access.AuditEntry `json:"entries"`
	NextCursor int64               `json:"next_cursor,omitempty" doc:"Pass it as cursor for older entries; not there on the last page"`
}

// ListAudit returns what people changed, newest first.
func (s *Guard) ListAudit(ctx context.Context, in *auditIn) (*route.Answer[auditPage], error) {
	entries, err := s.Store.AuditLog(ctx, in.Cursor, in.Limit)
	if err != nil {
		return nil, s.Internal(ctx, "read the audit log", err)
	}
	page := auditPage{Entries: entries}
	if len(entries) == in.Limit {
		page.NextCursor = entries[len(entries)-1].ID
	}
	return route.OK(page)
}

// audit writes down what a person did. What was done is done: an entry that cannot be
// written is an error in the log, not one of the request.
func (s *Guard) audit(r *http.Request, a access.Caller, action string, status int) {
	e := access.AuditEntry{
		At: s.Now().UTC(), Who: a.Name, Via: a.Via, Address: httpio.RemoteHost(r), Action: action, Target: r.URL.Path, Status: status,
	}
	s.Log.Info(action, "who", cmp.Or(e.Who, "-"), "via", e.Via, "from", e.Address, "target", e.Target, "status", e.Status)
	if err := s.Store.Audit(r.Context(), e); err != nil {
		s.Log.Error("could not write to the audit log", "who", e.Who, "action", action, "target", e.Target, "error", err)
	}
}
