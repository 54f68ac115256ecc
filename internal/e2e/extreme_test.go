package e2e

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"stint.dev/stint/internal/faulttest/extreme"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// badAgent is an agent with a valid token that sends what no agent of ours does, each in a run
// of its own.
type badAgent struct {
	s     *server
	token string
	mu    sync.Mutex
	runs  []string
	codes map[int]int // replies, by status
}

func (b *badAgent) post(path string, body []byte) {
	req, err := http.NewRequestWithContext(b.s.t.Context(), http.MethodPost, b.s.url+path, bytes.NewReader(body))
	if err != nil {
		b.s.t.Error(err)
		return
	}
	req.Header.Set("Authorization", "Bearer "+b.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.s.t.Errorf("%s: %v", path, err)
		return
	}
	text, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.codes[resp.StatusCode]++
	switch resp.StatusCode {
	case http.StatusOK, http.StatusBadRequest, http.StatusUnprocessableEntity:
	default:
		b.s.t.Errorf("%s: HTTP %d %s %v for %.300q", path, resp.StatusCode, text, err, body)
	}
}

// run begins a run with some more records behind the first two.
func (b *badAgent) run(records ...journal.Record) (id string) {
	id = uuid.Must(uuid.NewV7()).String()
	b.mu.Lock()
	b.runs = append(b.runs, id)
	b.mu.Unlock()
	var buf bytes.Buffer
	w, err := journal.NewWriter(&buf)
	if err == nil && (len(records) == 0 || records[0].Type != journal.TypeAttempt) {
		err = w.AppendJSON(journal.TypeAttempt, time.Now(), attemptOf(id))
		if err == nil {
			err = w.AppendJSON(journal.TypeStepStarted, time.Now(), journal.StepStarted{Name: "command", Kind: job.CommandStep, Command: "x", PID: 1})
		}
	}
	if err != nil {
		b.s.t.Error(err)
	}
	data := buf.Bytes()
	for _, r := range records { // past the writer, which would not write some of them
		r.Payload = bytes.ReplaceAll(r.Payload, []byte(thisRun), []byte(id))
		data = journal.AppendRecord(data, r)
	}
	b.post("/api/v1/runs/"+id+"/attempts/1/journal?offset=0", data)
	return id
}

// thisRun is replaced by the id of the run in a payload.
const thisRun = "11111111-1111-7111-8111-111111111111"

func attemptOf(run string) journal.Attempt {
	return journal.Attempt{Run: run, Attempt: 1, Job: "bad", Args: []string{"x"}, Host: "h", AgentVersion: "e2e", HeartbeatPeriodMS: 1000}
}

func documents(t *testing.T, valid any) []extreme.Document {
	t.Helper()
	all, err := extreme.Documents(valid)
	if err != nil || len(all) == 0 {
		t.Fatal(len(all), err)
	}
	return all
}

// atOnce calls fn for each, some at the same time.
func atOnce[T any](all []T, fn func(T)) {
	var workers sync.WaitGroup
	for part := range slices.Chunk(all, len(all)/8+1) {
		workers.Go(func() {
			for _, one := range part {
				fn(one)
			}
		})
	}
	workers.Wait()
}

func (b *badAgent) heartbeats() {
	now := time.Now().UTC()
	valid := job.Heartbeat{Sequence: 7, SentAt: now, UptimeMS: 5000, Processes: 1, MemoryBytes: 1000, PeriodMS: 1000}
	atOnce(documents(b.s.t, valid), func(d extreme.Document) {
		run := b.run()
		for range 2 {
			b.post("/api/v1/runs/"+run+"/attempts/1/heartbeat", []byte(d.Text))
		}
	})
}

func (b *badAgent) records() {
	now := time.Now()
	code := 1
	outcome := job.Outcome{State: job.Failed, Reason: job.ExitCode, ExitCode: &code}
	for kind, valid := range map[journal.Type]any{
		journal.TypeAttempt:     attemptOf(thisRun),
		journal.TypeStepStarted: journal.StepStarted{Name: "command", Kind: job.CommandStep, Command: "x", PID: 1},
		journal.TypeSample:      job.Sample{At: now, MemoryBytes: 1000, Processes: 1, Pressure: &job.Pressure{CPU: 1}},
		journal.TypeNote:        journal.Note{Text: "x"},
		journal.TypeGap:         job.Gap{Stream: job.Stdout, Bytes: 10, Lines: 1, Reason: "x", At: now},
		journal.TypeStepEnded:   journal.StepEnded{Outcome: outcome},
		journal.TypeOutcome:     journal.Final{Outcome: outcome},
		journal.TypeStatus:      journal.Status{Text: "half"},
		journal.TypeStopping:    journal.Stopping{Reason: job.ByCancel, By: "ada"},
	} {
		atOnce(documents(b.s.t, valid), func(d extreme.Document) {
			record := journal.Record{Type: kind, At: now, Payload: []byte(d.Text)}
			b.run(record, record) // also a second one, of what it has already
		})
	}
}

// times sends every kind of record at moments that no clock of a host shows.
func (b *badAgent) times() {
	output := binary.LittleEndian.AppendUint16(nil, 0)
	payloads := map[journal.Type][]byte{journal.TypeOutput: append(output, 1, 'x', '\n')}
	for kind, valid := range map[journal.Type]any{
		journal.TypeAttempt: attemptOf(thisRun), journal.TypeSample: job.Sample{Processes: 1}, journal.TypeNote: journal.Note{Text: "x"},
		journal.TypeStepStarted: journal.StepStarted{Index: 1, Name: "b"}, journal.TypeStatus: journal.Status{Text: "x"},
		journal.TypeGap:       job.Gap{Stream: job.Stdout, Bytes: 10},
		journal.TypeStepEnded: journal.StepEnded{Outcome: job.Outcome{State: job.Failed}}, journal.TypeStopping: journal.Stopping{Reason: job.ByCancel},
		journal.TypeOutcome: journal.Final{Outcome: job.Outcome{State: job.Failed}},
	} {
		text, err := json.Marshal(valid)
		if err != nil {
			b.s.t.Fatal(err)
		}
		payloads[kind] = text
	}
	moments := []time.Time{
		time.Unix(0, math.MinInt64), time.Unix(0, math.MaxInt64), time.Unix(0, -1), time.Unix(0, 0),
		time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(1677, 9, 22, 0, 0, 0, 0, time.UTC),
	}
	for kind, payload := range payloads {
		for _, at := range moments {
			b.run(journal.Record{Type: kind, At: at, Payload: payload})
		}
	}
}

// Figures and times that no host has, in every field of heartbeats and records of an agent with
// a valid token, are refused or bounded: each of its runs can be shown, and the runs of others
// are judged as ever.
func TestExtremeFiguresOfAValidAgent(t *testing.T) {
	t.Parallel()
	onBothDatabases(t, func(t *testing.T, s *server) {
		begin(t, s.url, "steady", "--", "sh", "-c", "while :; do echo working; sleep 1; done")
		victim := begin(t, s.url, "victim", "--", "sleep", "1000")
		eventually(t, "both run", func() bool {
			a, ok := s.find("steady#1")
			b, okb := s.find("victim#1")
			return ok && okb && a.State == job.Running && b.State == job.Running
		})
		b := &badAgent{s: s, token: s.token("agent"), codes: map[int]int{}}
		b.heartbeats()
		b.records()
		b.times()
		t.Logf("%d runs of a bad agent, replies %v", len(b.runs), b.codes)
		if b.codes[http.StatusOK] == 0 || b.codes[http.StatusBadRequest] == 0 || b.codes[http.StatusUnprocessableEntity] == 0 {
			t.Errorf("replies %v; want some taken and some refused", b.codes)
		}
		if err := victim.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = victim.Wait() // it was killed
		eventually(t, "the killed agent is lost", func() bool { r, _ := s.find("victim#1"); return r.State == job.Lost })
		for _, e := range s.events("victim#1") {
			if strings.Contains(e.Evidence, "lease") {
				t.Errorf("it was lost only because %q", e.Evidence)
			}
		}
		s.shows(b.runs)
		var troubled struct{ Items []job.TroubledItem }
		if err := json.Unmarshal(s.get("/api/v1/troubled"), &troubled); err != nil || len(troubled.Items) > 0 {
			t.Errorf("troubled items: %+v, %v", troubled.Items, err)
		}
		if r, _ := s.find("steady#1"); r.State != job.Running || r.Health != job.Healthy {
			t.Errorf("the steady run is %s %s", r.State, r.Health)
		}
		for _, e := range s.events("steady#1") {
			if e.To == string(job.Lost) {
				t.Errorf("the steady run was called lost: %s", e.Evidence)
			}
		}
	})
}

func (s *server) events(ref string) []job.RunEvent {
	s.t.Helper()
	var history struct{ Events []job.RunEvent }
	if err := json.Unmarshal(s.get("/api/v1/runs/"+strings.ReplaceAll(ref, "#", "%23")+"/events"), &history); err != nil {
		s.t.Fatal(err)
	}
	return history.Events
}

// shows reads everything that the page asks of runs, and of the lists that they are in. A run
// whose journal was refused from the beginning is not there.
func (s *server) shows(runs []string) {
	var known atomic.Int64
	atOnce(runs, func(run string) {
		if _, there := s.find(run); there {
			known.Add(1)
		} else {
			resp, err := http.Get(s.url + "/api/v1/runs/" + run)
			if err != nil {
				s.t.Error(err)
				return
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusNotFound {
				s.t.Errorf("run %s: HTTP %d", run, resp.StatusCode)
			}
			return
		}
		for _, part := range []string{"/explain", "/samples?points=100", "/events", "/log", "/band", "/changes", "/actions"} {
			resp, err := http.Get(s.url + "/api/v1/runs/" + run + part)
			if err != nil {
				s.t.Error(err)
				return
			}
			text, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				s.t.Errorf("run %s%s: HTTP %d %s", run, part, resp.StatusCode, text)
			}
		}
	})
	seen := 0
	for cursor := ""; ; {
		var page struct {
			Runs       []json.RawMessage
			NextCursor *string `json:"next_cursor"`
		}
		if err := json.Unmarshal(s.get(fmt.Sprintf("/api/v1/runs?limit=500&cursor=%s", cursor)), &page); err != nil {
			s.t.Fatal(err)
		}
		if seen += len(page.Runs); page.NextCursor == nil {
			break
		}
		cursor = *page.NextCursor
	}
	if n := int(known.Load()); n < 100 || seen < n {
		s.t.Errorf("%d runs are listed, and %d can be read", seen, n)
	}
	s.get("/api/v1/jobs")
	s.get("/api/v1/jobs/bad")
	s.get("/metrics")
}
