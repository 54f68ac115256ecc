package server_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"stint.dev/stint/internal/server"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// restored is a server that is stopped and started again on an older state of its data.
type restored struct {
	t           *testing.T
	dir, backup string
	now         time.Time
	st          *store.Store
	*live
}

func newRestored(t *testing.T) *restored {
	t.Helper()
	r := &restored{t: t, dir: filepath.Join(t.TempDir(), "data"), now: time.Now()}
	r.begin()
	return r
}

func (r *restored) begin() {
	r.t.Helper()
	r.now = r.now.Add(time.Minute)
	st, err := store.Open(r.t.Context(), store.Options{
		Dir: r.dir, SecretKeyFile: filepath.Join(r.dir, "secret.key"), Now: func() time.Time { return r.now },
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = st.Close() })
	r.st, r.live = st, start(r.t, server.Config{Store: st})
}

func (r *restored) end() {
	r.t.Helper()
	r.stop()
	if err := r.st.Close(); err != nil {
		r.t.Fatal(err)
	}
}

// save keeps the data as it is now.
func (r *restored) save() {
	r.t.Helper()
	r.end()
	r.backup = filepath.Join(r.t.TempDir(), "backup")
	if err := os.CopyFS(r.backup, os.DirFS(r.dir)); err != nil {
		r.t.Fatal(err)
	}
	r.begin()
}

// restore starts the server on the data that was saved.
func (r *restored) restore() {
	r.t.Helper()
	r.end()
	if err := os.RemoveAll(r.dir); err != nil {
		r.t.Fatal(err)
	}
	if err := os.CopyFS(r.dir, os.DirFS(r.backup)); err != nil {
		r.t.Fatal(err)
	}
	r.begin()
}

// A server is restored from a backup that is older than what the follower of a run has seen: the
// follower gets what the agent sends then, and nothing of what it has.
func TestStreamOfARunGoesOnAfterARestore(t *testing.T) {
	l := newRestored(t)
	s := newSketch(t, "restored", nil).command().output("one\n")
	saved := l.deliver(s, 0, 1<<20)
	l.save()
	s.output("two\n")
	done := l.deliver(s, saved, 1<<20)
	f := l.follow(streamOf(s), "")
	if got := f.text(8); got != "one\ntwo\n" {
		t.Fatalf("before the restore: %q", got)
	}
	f.close()
	l.restore()
	f = l.follow(streamOf(s), f.lastID)
	f.want("run")
	l.deliver(s, saved, 1<<20)
	s.output("three\n").finish(0)
	l.deliver(s, done, 1<<20)
	if got := f.text(6); got != "three\n" {
		t.Errorf("after the restore: %q", got)
	}
	f.want("end")
}

// The backup does not know the attempt that the follower has seen.
func TestStreamOfALaterAttemptGoesOnAfterARestore(t *testing.T) {
	l := newRestored(t)
	first := newSketch(t, "restored", nil).command().output("first\n").retrying()
	l.deliver(first, 0, 1<<20)
	l.save()
	second := newAttempt(t, first.id, 2, "restored", nil).command().output("second\n")
	l.do("POST", journalPath(first.id, 2, 0), second.bytes()).ok(t, nil)
	f := l.follow(streamOf(first)+"?tail=0", "2:0")
	if got := f.text(7); got != "second\n" {
		t.Fatalf("before the restore: %q", got)
	}
	f.close()
	l.restore()
	f = l.follow(streamOf(first), f.lastID)
	f.want("run")
	second.output("more\n")
	l.do("POST", journalPath(first.id, 2, 0), second.bytes()).ok(t, nil)
	if got := f.text(5); got != "more\n" {
		t.Errorf("after the restore: %q", got)
	}
}

// The follower of all runs has seen more changes than the backup has: after the restore it gets
// each new change, also those whose ids the backup had not given yet.
func TestStreamOfAllRunsGoesOnAfterARestore(t *testing.T) {
	l := newRestored(t)
	l.deliver(newSketch(t, "old", nil).command().finish(0), 0, 1<<20)
	l.save()
	f := l.follow("/api/v1/stream", "")
	for range 3 {
		l.deliver(newSketch(t, "forgotten", nil).command().finish(0), 0, 1<<20)
	}
	for range 9 {
		f.want("change")
	}
	f.close()
	l.restore()
	seen := f.lastID
	f = l.follow("/api/v1/stream", seen)
	var ids []string
	for i := range 4 {
		if i == 2 { // with new ids behind the one that it has
			f.close()
			f = l.follow("/api/v1/stream", seen)
		}
		s := newSketch(t, "new", nil).command().finish(0)
		l.deliver(s, 0, 1<<20)
		for range 3 {
			e := f.want("change")
			var change job.RunEvent
			if err := json.Unmarshal(e.data, &change); err != nil || change.Run != s.id {
				t.Fatalf("change %s, want one of run %s: %v", e.data, s.id, err)
			}
			ids = append(ids, e.id)
		}
		seen = f.lastID
	}
	if len(ids) != 12 {
		t.Errorf("%d changes came: %v", len(ids), ids)
	}
}

// retrying ends the attempt with a failure after which the agent tries again.
func (s *sketch) retrying() *sketch {
	s.t.Helper()
	o := job.Classify(job.Ending{Step: "command", Kind: job.CommandStep, ExitCode: 1})
	s.add(journal.TypeStepEnded, journal.StepEnded{Outcome: o})
	at := s.at.Add(time.Minute)
	o.RetryAt = &at
	if err := s.w.Finish(s.at, journal.Final{Outcome: o}); err != nil {
		s.t.Fatal(err)
	}
	return s
}

// A follower that was away gets the attempts that came and went meanwhile.
func TestStreamGoesThroughEveryAttempt(t *testing.T) {
	l := start(t, server.Config{})
	s := newSketch(t, "again", nil).command().output("1\n").retrying()
	l.deliver(s, 0, 1<<20)
	f := l.follow(streamOf(s), "")
	f.text(2)
	f.close()
	for i, text := range []string{"2\n", "3\n", "4\n"} {
		next := newAttempt(t, s.id, 2+i, "again", nil).command().output(text)
		if i < 2 {
			next.retrying()
		}
		l.do("POST", journalPath(s.id, 2+i, 0), next.bytes()).ok(t, nil)
	}
	for _, query := range []string{"", "?stream=stdout"} {
		f := l.follow(streamOf(s)+query, f.lastID)
		for _, want := range []string{"2", "3", "4"} {
			if e := f.want("attempt"); e.id != want+":0" {
				t.Fatalf("attempt event %s %s, want attempt %s", e.id, e.data, want)
			}
			if got := f.text(2); got != want+"\n" {
				t.Fatalf("of attempt %s came %q", want, got)
			}
		}
	}
}
