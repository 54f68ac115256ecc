package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"stint.dev/stint/internal/server"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// A run that was deleted is answered with 410 on every path, by whatever it is asked.
func TestDeleteRun(t *testing.T) {
	l := start(t, server.Config{})
	s := newSketch(t, "j", nil).command().output("one\n")
	l.do("POST", journalPath(s.id, 1, 0), s.bytes()).ok(t, nil)
	path := "/api/v1/runs/" + s.id
	if p := l.do("DELETE", path, nil).problem(t, http.StatusConflict); p.Type != job.ProblemConflict || !strings.Contains(p.Detail, "cancel it first") {
		t.Errorf("an active run: %+v", p)
	}
	part := len(s.bytes())
	s.finish(0)
	l.do("POST", journalPath(s.id, 1, int64(part)), s.bytes()[part:]).ok(t, nil)
	for _, name := range []string{"j", "j@succeeded"} { // the name of a job may mean all its runs
		l.do("DELETE", "/api/v1/runs/"+name, nil).problem(t, http.StatusBadRequest)
	}
	var gone api.DeletedRun
	l.do("DELETE", "/api/v1/runs/"+url.PathEscape("j#1"), nil).ok(t, &gone)
	if gone.Run != s.id || gone.DeletedBy == "" || gone.DeletedAt.IsZero() || len(gone.NotReached) == 0 {
		t.Errorf("deleted: %+v", gone)
	}
	l.get("/api/v1/runs/"+url.PathEscape("j#1")).problem(t, http.StatusNotFound)
	beat := []byte(`{"sequence":1}`)
	for name, r := range map[string]reply{
		"run":       l.get(path),
		"events":    l.get(path + "/events"),
		"log":       l.get(path + "/log"),
		"search":    l.get(path + "/log/search?q=one"),
		"samples":   l.get(path + "/samples"),
		"stream":    l.get(path + "/stream"),
		"explain":   l.get(path + "/explain"),
		"journal":   l.get(path + "/attempts/1/journal"),
		"cancel":    l.do("POST", path+"/cancel", nil),
		"retry":     l.do("POST", path+"/retry", nil),
		"delete":    l.do("DELETE", path, nil),
		"append":    l.do("POST", journalPath(s.id, 1, 0), s.bytes()),
		"size":      l.do("POST", journalPath(s.id, 1, 0), nil),
		"heartbeat": l.do("POST", path+"/attempts/1/heartbeat", beat),
	} {
		t.Run(name, func(t *testing.T) {
			if p := r.problem(t, http.StatusGone); p.Type != job.ProblemRunDeleted || !strings.Contains(p.Detail, "was deleted by") {
				t.Errorf("%+v", p)
			}
		})
	}
	l.do("DELETE", "/api/v1/jobs/j", nil).problem(t, http.StatusNotFound) // it went with its last run
}
