package delivery

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testRun = "01890a5d-ac96-774b-bcce-b302099a8057"

// fakeServer keeps one journal to the rules of the protocol. reply is asked first: an error
// is the reply to an append of bytes at an offset, or to a heartbeat (bytes are nil).
type fakeServer struct {
	reply func(ctx context.Context, offset int64, data []byte) error
	next  int64 // next_ms

	mu      sync.Mutex
	journal []byte
	sizes   []int // of the appends, in order
	begun   time.Time
	beats   []time.Duration // since begun
	seen    int             // of them, by after
	seenAt  time.Duration
}

func newFakeServer(reply func(ctx context.Context, offset int64, data []byte) error) *fakeServer {
	return &fakeServer{reply: reply, next: 5000, begun: time.Now()}
}

func (s *fakeServer) Append(ctx context.Context, _ string, _ int, offset int64, data []byte) (job.AppendReply, error) {
	s.mu.Lock()
	s.sizes = append(s.sizes, len(data))
	s.mu.Unlock()
	if s.reply != nil {
		if err := s.reply(ctx, offset, data); err != nil {
			return job.AppendReply{}, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if size := int64(len(s.journal)); offset != size {
		return job.AppendReply{}, at(size, problem(409, job.ProblemWrongOffset))
	}
	s.journal = append(s.journal, data...)
	return job.AppendReply{Size: int64(len(s.journal))}, nil
}

func (s *fakeServer) AppendFrom(ctx context.Context, run string, attempt int, offset, size int64, src io.ReaderAt) (job.AppendReply, error) {
	data := make([]byte, size)
	if _, err := src.ReadAt(data, offset); err != nil {
		return job.AppendReply{}, err
	}
	return s.Append(ctx, run, attempt, offset, data)
}

func (s *fakeServer) Beat(ctx context.Context, _ string, _ int, _ job.Heartbeat) (job.HeartbeatReply, error) {
	s.mu.Lock()
	s.beats = append(s.beats, time.Since(s.begun))
	s.mu.Unlock()
	if s.reply != nil {
		if err := s.reply(ctx, 0, nil); err != nil {
			return job.HeartbeatReply{}, err
		}
	}
	return job.HeartbeatReply{Owner: true, NextMS: s.next}, nil
}

func (s *fakeServer) has() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.journal)
}

func (s *fakeServer) appended() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sizes)
}

// silent never answers.
func silent(ctx context.Context, _ int64, _ []byte) error {
	<-ctx.Done()
	return ctx.Err()
}

// always is the same error each time.
func always(err error) func(context.Context, int64, []byte) error {
	return func(context.Context, int64, []byte) error { return err }
}

// writeJournal makes a journal of one attempt, on the disk or in memory, with records of
// output of these sizes, and returns it with all its bytes.
func writeJournal(t *testing.T, onDisk bool, sizes ...int) (*spool.Journal, []byte) {
	t.Helper()
	meta := spool.Meta{Run: testRun, Attempt: 1, Job: "test"}
	j := spool.InMemory(meta, spool.Limits{}, errors.New("no state directory"))
	if onDisk {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		s, err := spool.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if j, err = s.Create(meta, spool.Limits{Unsent: 64 << 20, Segment: 64 << 10}); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(j.AppendJSON(journal.TypeAttempt, now, journal.Attempt{Run: testRun, Attempt: 1, Job: "test", Host: "here", AgentVersion: "test"}))
	for i, size := range sizes {
		must(j.Append(journal.OutputRecord(now, journal.Output{Stream: job.Stdout, Data: bytes.Repeat([]byte{byte('a' + i%26)}, size)})))
	}
	must(j.Finish(now, journal.Final{Outcome: job.Classify(job.Ending{Step: "command", Kind: job.CommandStep})}))
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	whole := make([]byte, j.Size())
	if _, err := j.ReadAt(whole, 0); err != nil {
		t.Fatal(err)
	}
	return j, whole
}

// lines collects what is printed.
type lines struct {
	mu   sync.Mutex
	list []string
}

func (l *lines) print(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, line)
}

func (l *lines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.list)
}

// started is a delivery of a journal that has begun, and what ends the attempt.
func started(t *testing.T, c Config) (d *Delivery, end func()) {
	t.Helper()
	ended := make(chan struct{})
	c.Run, c.Attempt, c.Ended, c.Watched = testRun, 1, ended, new(atomic.Bool)
	d = New(c)
	d.Start(t.Context())
	return d, func() { close(ended) }
}
