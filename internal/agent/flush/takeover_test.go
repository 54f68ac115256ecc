package flush

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/internal/agent/spool/owner"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// oneJournal is a server with one journal, over HTTP: it knows its writer, as the real one does.
type oneJournal struct {
	mu     sync.Mutex
	data   []byte
	writer int
	late   func() // called once, before the first append with data that comes after a question
	asked  int    // how often it was asked how long the journal is
}

func (s *oneJournal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	data, _ := io.ReadAll(r.Body) // a cut body is refused by its offset later
	offset, _ := strconv.ParseInt(r.URL.Query().Get("offset"), 10, 64)
	writer, _ := strconv.Atoi(r.URL.Query().Get("writer")) // 0 when it is left out
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method == http.MethodGet {
		w.Header().Set("Stint-Journal-Size", strconv.Itoa(len(s.data)))
		_, _ = w.Write(s.data[offset:])
		return
	}
	if late := s.late; late != nil && s.asked > 0 && len(data) > 0 {
		s.late = nil
		late()
	}
	w.Header().Set("Content-Type", "application/json")
	size, p := s.append(offset, writer, data)
	if p != nil {
		w.WriteHeader(p.Status)
		_ = json.NewEncoder(w).Encode(p)
		return
	}
	_ = json.NewEncoder(w).Encode(job.AppendReply{Run: run(1), Attempt: 1, Size: size})
}

// append follows the rules of the server; the caller holds mu.
func (s *oneJournal) append(offset int64, writer int, data []byte) (int64, *job.Problem) {
	takes := len(data) == 0 && writer > 0
	if takes && writer <= s.writer || len(data) > 0 && writer != s.writer {
		return 0, &job.Problem{Type: job.ProblemJournalTaken, Status: http.StatusConflict, Writer: &s.writer}
	}
	if takes {
		s.writer = writer
	}
	if len(data) == 0 {
		s.asked++
	}
	size := int64(len(s.data))
	if offset != size {
		return 0, &job.Problem{Type: job.ProblemWrongOffset, Status: http.StatusConflict, Size: &size}
	}
	s.data = append(s.data, data...)
	return int64(len(s.data)), nil
}

// check returns the journal's final state if it is whole and holds what its outcome says.
func (s *oneJournal) check(t *testing.T) journal.Recovered {
	t.Helper()
	rec, err := journal.Recover(bytes.NewReader(s.data))
	if err != nil || !rec.Ended || rec.Torn > 0 || rec.Open != -1 {
		t.Fatalf("the server has %+v, error %v", rec, err)
	}
	d := journal.NewDigester()
	d.Header(s.data)
	at := int64(journal.HeaderSize)
	for at < rec.Final.Bytes {
		_, n, err := journal.Next(s.data[at:], at)
		if err != nil {
			t.Fatal(err)
		}
		d.Record(s.data[at : at+int64(n)])
		at += int64(n)
	}
	if at != rec.Final.Bytes || d.Sum() != rec.Final.Digest {
		t.Errorf("of %d bytes the digest is %s; the outcome says %d and %s", at, d.Sum(), rec.Final.Bytes, rec.Final.Digest)
	}
	return rec
}

// An agent that is killed can have sent, from its memory, other bytes than its disk holds, and
// an append of those can still be on its way when its journal is completed. Either it came before,
// and what is added goes on behind it, or it comes too late. The two never mix.
func TestAppendOfTheDeadAgentOnItsWay(t *testing.T) {
	for name, early := range map[string]bool{"comes before": true, "comes too late": false} {
		t.Run(name, func(t *testing.T) {
			state := t.TempDir()
			held := abandon(t, state, 1)
			known := make([]byte, held.Size())
			if _, err := held.ReadAt(known, 0); err != nil {
				t.Fatal(err)
			}
			if err := held.Close(); err != nil {
				t.Fatal(err)
			}
			size := int64(len(known))
			inMemory := journal.AppendRecord(nil, journal.OutputRecord(time.Now(), journal.Output{Stream: job.Stdout, Data: []byte("of the memory\n")}))
			s := &oneJournal{data: bytes.Clone(known)}
			var refused *job.Problem
			onItsWay := func() { _, refused = s.append(size, 0, inMemory) }
			if early {
				onItsWay()
			} else {
				s.late = onItsWay
			}
			report := s.flush(t, state)
			if len(report.Journals) != 1 || !report.Journals[0].Delivered || !report.Journals[0].Unfinished {
				t.Fatalf("report %+v", report)
			}
			if s.late != nil || early != (refused == nil) {
				t.Errorf("the append of the dead agent: refused %+v, still on its way: %v", refused, s.late != nil)
			}
			if rec := s.check(t); rec.Final.Outcome.Reason != job.AgentLost {
				t.Errorf("outcome %+v", rec.Final.Outcome)
			}
			if strings.Contains(string(s.data), "of the memory\n") != early || !bytes.HasPrefix(s.data, known) {
				t.Errorf("the journal is %q", s.data)
			}
		})
	}
}

// A process that completed a dead agent's journal and died before that was delivered leaves one
// that the next process takes over in turn.
func TestJournalThatWasCompletedAndNotDelivered(t *testing.T) {
	state := t.TempDir()
	if err := abandon(t, state, 1).Close(); err != nil {
		t.Fatal(err)
	}
	sp, err := spool.Open(state)
	if err != nil {
		t.Fatal(err)
	}
	e, there := sp.Entry(run(1) + ".1")
	if !there {
		t.Fatal("there is no journal")
	}
	j, _, err := sp.Adopt(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	s := &oneJournal{}
	c := s.client(t)
	if _, own, added, err := complete(t.Context(), j, Config{Server: c, ServerURL: here}); own || !added || err != nil {
		t.Fatalf("completed: %v, error %v", added, err)
	}
	if err := errors.Join(j.Persist(), j.Close()); err != nil {
		t.Fatal(err)
	}
	report := s.flush(t, state)
	if len(report.Journals) != 1 || !report.Journals[0].Delivered {
		t.Fatalf("report %+v", report)
	}
	if s.check(t); s.asked != 2 || s.writer != 2 {
		t.Errorf("it was asked %d times, and taken over last by %d", s.asked, s.writer)
	}
}

func (s *oneJournal) client(t *testing.T) *client.Client {
	t.Helper()
	h := httptest.NewServer(s)
	c, err := client.New(client.Options{URL: h.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); h.Close() })
	return c
}

func (s *oneJournal) flush(t *testing.T, state string) Report {
	t.Helper()
	report, err := Run(t.Context(), Config{StateDir: state, Server: s.client(t), ServerURL: here, Host: owner.Host{Name: "here"}})
	if err != nil {
		t.Fatal(err)
	}
	return report
}
