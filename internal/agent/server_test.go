package agent

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

var errAway = errors.New("connection refused")

// memoryServer is a tracking server in this process. It keeps journals to the rules of the
// protocol, and a test can make it fail in between.
type memoryServer struct {
	mu       sync.Mutex
	journals map[string][]byte
	created  []string // the runs, in the order in which they came
	appends  int
	whole    int // up to where the journal is whole records, when it ends in a torn one
	beats    []job.Heartbeat
	reply    job.HeartbeatReply
	changed  chan struct{} // closed and replaced at each change

	// before is asked before an append is checked; an error is the answer.
	before func(n int, offset int64, data []byte) error
	// after is asked when it was kept; an error loses the reply.
	after func(n int) error
}

func newMemoryServer() *memoryServer {
	return &memoryServer{
		journals: map[string][]byte{}, changed: make(chan struct{}),
		reply: job.HeartbeatReply{LeaseMS: 30000, NextMS: 50, Owner: true},
	}
}

func (s *memoryServer) Append(ctx context.Context, run string, attempt int, offset int64, data []byte) (job.AppendReply, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.touch()
	s.appends++
	if s.before != nil {
		if err := s.before(s.appends, offset, data); err != nil {
			return job.AppendReply{}, err
		}
	}
	have := s.journals[run]
	if s.whole > 0 && offset == int64(s.whole) && len(data) > 0 {
		have, s.whole = have[:s.whole], 0 // a whole record takes the place of a torn one
	}
	if offset != int64(len(have)) {
		size := int64(len(have))
		return job.AppendReply{}, &job.Problem{Type: job.ProblemWrongOffset, Status: http.StatusConflict, Title: "wrong offset", Size: &size}
	}
	if len(have) == 0 {
		s.created = append(s.created, run)
	}
	s.journals[run] = append(have, data...)
	if s.after != nil {
		if err := s.after(s.appends); err != nil {
			return job.AppendReply{}, err
		}
	}
	return job.AppendReply{Size: int64(len(s.journals[run]))}, nil
}

func (s *memoryServer) AppendFrom(ctx context.Context, run string, attempt int, offset, size int64, src io.ReaderAt) (job.AppendReply, error) {
	data := make([]byte, size)
	if _, err := src.ReadAt(data, offset); err != nil {
		return job.AppendReply{}, err
	}
	return s.Append(ctx, run, attempt, offset, data)
}

func (s *memoryServer) Beat(ctx context.Context, run string, attempt int, hb job.Heartbeat) (job.HeartbeatReply, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.touch()
	s.beats = append(s.beats, hb)
	return s.reply, nil
}

func (s *memoryServer) touch() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// wait blocks until what is true of the server.
func (s *memoryServer) wait(t *testing.T, what func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		s.mu.Lock()
		ok, changed := what(), s.changed
		s.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatal("the server did not see what the test waits for within 20 s")
		}
	}
}

func (s *memoryServer) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// streamKey names one stream of one step.
type streamKey struct {
	step   int
	stream job.Stream
}

// view is a journal taken apart.
type view struct {
	attempt   journal.Attempt
	started   []journal.StepStarted
	ended     []journal.StepEnded
	output    map[streamKey][]byte
	gaps      []job.Gap
	notes     []string
	processes []job.StoppedProcess
	statuses  []string
	samples   []job.Sample
	stopping  []journal.Stopping
	final     *journal.Final
	finalAt   time.Time
	order     []journal.Type
	times     []time.Time // of the records in order
}

// read takes the journal of a run apart and proves that it is whole.
func (s *memoryServer) read(t *testing.T, run string) view {
	t.Helper()
	s.mu.Lock()
	data := bytes.Clone(s.journals[run])
	s.mu.Unlock()
	return readJournal(t, data)
}

func readJournal(t *testing.T, data []byte) view {
	t.Helper()
	rec, err := journal.Recover(bytes.NewReader(data))
	if err != nil || rec.Torn != 0 {
		t.Fatalf("journal of %d bytes: error %v, %d bytes torn", len(data), err, rec.Torn)
	}
	v := view{output: map[streamKey][]byte{}}
	digest := journal.NewDigester()
	digest.Header(data)
	for rest, at := data[journal.HeaderSize:], int64(journal.HeaderSize); len(rest) > 0; {
		r, n, err := journal.Next(rest, at)
		if err != nil {
			t.Fatal(err)
		}
		v.take(t, r, at, digest.Sum())
		digest.Record(rest[:n])
		rest, at = rest[n:], at+int64(n)
	}
	return v
}

func (v *view) take(t *testing.T, r journal.Record, at int64, digest string) {
	t.Helper()
	v.order, v.times = append(v.order, r.Type), append(v.times, r.At)
	var err error
	switch r.Type {
	case journal.TypeAttempt:
		err = journal.Decode(r, &v.attempt)
	case journal.TypeStepStarted:
		err = decodeTo(r, &v.started)
	case journal.TypeStepEnded:
		err = decodeTo(r, &v.ended)
	case journal.TypeGap:
		err = decodeTo(r, &v.gaps)
	case journal.TypeSample:
		err = decodeTo(r, &v.samples)
	case journal.TypeStopping:
		err = decodeTo(r, &v.stopping)
	case journal.TypeNote:
		var n journal.Note
		err = journal.Decode(r, &n)
		v.notes, v.processes = append(v.notes, n.Text), append(v.processes, n.Processes...)
	case journal.TypeStatus:
		var s journal.Status
		err = journal.Decode(r, &s)
		v.statuses = append(v.statuses, s.Text)
	case journal.TypeOutput:
		o, oerr := journal.DecodeOutput(r)
		err = oerr
		key := streamKey{o.Step, o.Stream}
		v.output[key] = append(v.output[key], o.Data...)
	case journal.TypeOutcome:
		v.final = new(journal.Final)
		v.finalAt = r.At
		err = journal.Decode(r, v.final)
		if v.final.Bytes != at || v.final.Digest != digest {
			t.Errorf("the outcome says %d bytes, digest %s; the journal has %d, %s", v.final.Bytes, v.final.Digest, at, digest)
		}
	}
	if err != nil {
		t.Fatalf("%s record at %d: %v", r.Type, at, err)
	}
}

func decodeTo[T any](r journal.Record, list *[]T) error {
	var v T
	err := journal.Decode(r, &v)
	*list = append(*list, v)
	return err
}
