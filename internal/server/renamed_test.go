package server_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"

	"stint.dev/stint/internal/server"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// The first run of a job whose command gave it another name before gets a notice of what is set for that name:
// once, and the server's log has it.
func TestNoticeOfAnEarlierName(t *testing.T) {
	lines := &logLines{}
	l := start(t, server.Config{Log: slog.New(slog.NewTextHandler(lines, nil))})
	begin := func(name string, args ...string) job.AppendReply {
		t.Helper()
		s := &sketch{t: t, id: uuid.Must(uuid.NewV7()).String()}
		var err error
		if s.w, err = journal.NewWriter(&s.buf); err != nil {
			t.Fatal(err)
		}
		s.at = time.Now().UTC()
		s.add(journal.TypeAttempt, journal.Attempt{Run: s.id, Attempt: 1, Job: name, Args: args, Host: "h", AgentVersion: "test"})
		var r job.AppendReply
		l.do("POST", journalPath(s.id, 1, 0), s.bytes()).ok(t, &r)
		return r
	}
	for _, name := range []string{"python", "sh"} {
		l.do("PUT", "/api/v1/jobs/"+name+"/policy", []byte("rules: {}")).ok(t, nil)
	}
	l.do("PUT", "/api/v1/jobs/python/due", []byte(`{"every_seconds":3600}`), "Content-Type", "application/json").ok(t, nil)
	const want = "this command was job python before; what is set for that job (policy, expectation) does not apply to job train: set it for train, or keep the name with --job python"
	if r := begin("train", "python", "train.py"); r.Number != 1 || r.Notice != want {
		t.Errorf("the first run: %+v", r)
	}
	if n := lines.count("before=python"); n != 1 {
		t.Errorf("the log has %d lines of it", n)
	}
	for _, r := range []job.AppendReply{
		begin("train", "python", "train.py"),
		begin("nightly", "python", "nightly-report.py"),
		begin("sh", "sh", "-c", "exit 3"),
		begin("load", "perl", "load.pl"),
	} {
		if r.Number == 0 || r.Notice != "" {
			t.Errorf("%+v", r)
		}
	}
}
