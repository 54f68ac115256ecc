package server_test

import (
	"bytes"
	"net/http"
	"sync"
	"testing"

	"stint.dev/stint/internal/server"
	"stint.dev/stint/job"
)

// An append at the beginning of a stored journal is a repetition, which goes on from the
// size, or another journal, which never can.
func TestRunIDUsed(t *testing.T) {
	l := start(t, server.Config{})
	s := newSketch(t, "j", nil).command().output("one\n")
	part := len(s.bytes())
	l.do("POST", journalPath(s.id, 1, 0), s.bytes()).ok(t, nil)
	other := newAttempt(t, s.id, 1, "j", nil).command().output("two\n")
	second := newAttempt(t, s.id, 2, "j", nil).command()
	flipped := bytes.Clone(s.bytes())
	flipped[20] ^= 1
	tests := []struct {
		name    string
		attempt int
		body    []byte
		used    bool
	}{
		{"the same", 1, s.bytes()[:part], false},
		{"less of it", 1, s.bytes()[:part/2], false},
		{"a header", 1, s.bytes()[:16], false},
		{"a byte", 1, s.bytes()[:1], false},
		{"part of the first record", 1, other.bytes()[:40], false},
		{"nothing", 1, nil, false},
		{"damaged on its way", 1, flipped, false},
		{"no journal", 1, []byte("GET / HTTP/1.1\r\n\r\n and more"), false},
		{"another journal", 1, other.bytes(), true},
		{"of another attempt", 1, second.bytes(), true},
	}
	check := func(when string) {
		t.Helper()
		for _, tt := range tests {
			p := l.do("POST", journalPath(s.id, tt.attempt, 0), tt.body).problem(t, http.StatusConflict)
			want := job.ProblemWrongOffset
			if tt.used {
				want = job.ProblemRunIDUsed
			}
			if p.Type != want || tt.used == (p.Size != nil) {
				t.Errorf("%s, %s: %s, size %v; want %s", when, tt.name, p.Type, p.Size, want)
			}
		}
	}
	check("while it runs")
	s.finish(0)
	l.do("POST", journalPath(s.id, 1, int64(part)), s.bytes()[part:]).ok(t, nil)
	tests = append(tests, struct {
		name    string
		attempt int
		body    []byte
		used    bool
	}{"all of it", 1, s.bytes(), false})
	check("after its end")
	if got := l.get("/api/v1/runs/" + s.id + "/attempts/1/journal"); !bytes.Equal(got.body, s.bytes()) {
		t.Errorf("the journal has %d bytes, want %d", len(got.body), len(s.bytes()))
	}
}

// Also after another process has taken the stored journal over, another journal is distinguished from this one, whose agent
// may take it over in turn.
func TestRunIDUsedOfATakenJournal(t *testing.T) {
	l := start(t, server.Config{})
	s := newSketch(t, "j", nil).command().output("one\n")
	l.do("POST", journalPath(s.id, 1, 0), s.bytes()).ok(t, nil)
	l.do("POST", journalPath(s.id, 1, int64(len(s.bytes())))+"&writer=1", nil).ok(t, nil)
	other := newAttempt(t, s.id, 1, "j", nil).command().output("two\n")
	for name, c := range map[string]struct {
		body []byte
		want string
	}{
		"the same":        {s.bytes(), job.ProblemJournalTaken},
		"less of it":      {s.bytes()[:40], job.ProblemJournalTaken},
		"another journal": {other.bytes(), job.ProblemRunIDUsed},
	} {
		if p := l.do("POST", journalPath(s.id, 1, 0), c.body).problem(t, http.StatusConflict); p.Type != c.want {
			t.Errorf("%s: %s, want %s", name, p.Type, c.want)
		}
	}
}

// A proxy that sends the first append twice, at once or one after the other, costs nothing:
// one is taken, the other gets the offset to continue at.
func TestFirstAppendSentTwice(t *testing.T) {
	l := start(t, server.Config{})
	for range 20 {
		s := newSketch(t, "j", nil).command().output("one\n")
		replies := make([]reply, 2)
		var both sync.WaitGroup
		for i := range replies {
			both.Go(func() { replies[i] = l.do("POST", journalPath(s.id, 1, 0), s.bytes()) })
		}
		both.Wait()
		if replies[0].status != http.StatusOK {
			replies[0], replies[1] = replies[1], replies[0]
		}
		var taken job.AppendReply
		replies[0].ok(t, &taken)
		p := replies[1].problem(t, http.StatusConflict)
		if p.Type != job.ProblemWrongOffset || p.Size == nil || *p.Size != taken.Size || taken.Size != int64(len(s.bytes())) {
			t.Errorf("taken to %d, then %+v", taken.Size, p)
		}
	}
}
