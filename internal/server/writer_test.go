package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"stint.dev/stint/internal/server"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// An append that an agent has on its way when it dies, and that comes in after another process
// has taken its journal over, is refused: that process may have other bytes for the same place.
func TestAppendOnItsWayComesTooLate(t *testing.T) {
	l := start(t, server.Config{})
	s := newSketch(t, "job", nil).command().output("one\n")
	begun := bytes.Clone(s.bytes())
	size := int64(len(begun))
	record := func(text string) []byte {
		return journal.AppendRecord(nil, journal.OutputRecord(time.Now(), journal.Output{Stream: job.Stdout, Data: []byte(text)}))
	}
	var reply job.AppendReply
	l.do("POST", journalPath(s.id, 1, 0), begun).ok(t, &reply)

	dead := record("of the dead agent\n")
	body, sent := io.Pipe()
	refused := make(chan job.Problem, 1)
	go func() {
		var p job.Problem
		defer func() { refused <- p }()
		req, err := http.NewRequestWithContext(t.Context(), "POST", l.url+journalPath(s.id, 1, size), body)
		if err != nil {
			t.Error(err)
			return
		}
		req.ContentLength = int64(len(dead))
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		if err := json.NewDecoder(resp.Body).Decode(&p); err != nil {
			t.Error(err)
		}
	}()
	if _, err := sent.Write(dead[:5]); err != nil {
		t.Fatal(err)
	}
	as := func(writer int) string { return fmt.Sprintf("&writer=%d", writer) }
	taken := func(p job.Problem, by int) {
		t.Helper()
		if p.Type != job.ProblemJournalTaken || p.Writer == nil || *p.Writer != by {
			t.Errorf("problem %+v, want one of writer %d", p, by)
		}
	}
	l.do("POST", journalPath(s.id, 1, size)+as(1), nil).ok(t, &reply)
	if reply.Size != size {
		t.Errorf("the process that takes over gets %d bytes, want %d", reply.Size, size)
	}
	if _, err := sent.Write(dead[5:]); err != nil {
		t.Fatal(err)
	}
	_ = sent.Close() // a pipe's has no error
	taken(<-refused, 1)

	own := record("of the other process\n")
	l.do("POST", journalPath(s.id, 1, size)+as(1), own).ok(t, &reply)
	// A third process asks at the wrong place, and is the writer all the same.
	if p := l.do("POST", journalPath(s.id, 1, size)+as(2), nil).problem(t, http.StatusConflict); p.Type != job.ProblemWrongOffset || *p.Size != reply.Size {
		t.Errorf("problem %+v, want size %d", p, reply.Size)
	}
	taken(l.do("POST", journalPath(s.id, 1, reply.Size)+as(1), own).problem(t, http.StatusConflict), 2)
	l.do("POST", journalPath(s.id, 1, size)+as(-1), nil).problem(t, http.StatusBadRequest)
	if got := l.get("/api/v1/runs/" + s.id + "/attempts/1/journal"); !bytes.Equal(got.body, slices.Concat(begun, own)) {
		t.Errorf("the journal is %q", got.body)
	}
}
