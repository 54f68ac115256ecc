package jobmetrics

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/job"
)

// fakeStore is a store of which reads wait for their turn, if it has one.
type fakeStore struct {
	reads   atomic.Int64
	turn    chan struct{}
	figures query.JobsFigures
}

func (s *fakeStore) JobFigures(ctx context.Context, _ []string) (query.JobsFigures, error) {
	s.reads.Add(1)
	if s.turn != nil {
		select {
		case <-s.turn:
		case <-ctx.Done():
			return query.JobsFigures{}, ctx.Err()
		}
	}
	return s.figures, nil
}

func newMetrics(s Store, labels ...Label) *Metrics {
	return New(httpio.ErrorWriter{Log: slog.New(slog.DiscardHandler)}, s, time.Now, labels)
}

func (m *Metrics) get(ctx context.Context) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	m.Get(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/metrics/jobs", nil))
	return w
}

// value returns the value of a series, with its labels as name=value.
func value(f *dto.MetricFamily, labels ...string) (v float64, found bool) {
	for _, m := range f.GetMetric() {
		var have []string
		for _, l := range m.GetLabel() {
			have = append(have, l.GetName()+"="+l.GetValue())
		}
		if fmt.Sprint(have) == fmt.Sprint(labels) {
			if f.GetType() == dto.MetricType_COUNTER {
				return m.GetCounter().GetValue(), true
			}
			return m.GetGauge().GetValue(), true
		}
	}
	return 0, false
}

func TestText(t *testing.T) {
	code, at := 137, time.Unix(1800000000, 250000000)
	hostile := "q\"uo\\te {x} 🧀=,"
	s := &fakeStore{figures: query.JobsFigures{
		LeftOut: 7,
		Jobs: []query.JobFigures{
			{
				Name: hostile, Labels: []string{`a\"b`, ""}, LastStart: at, LastEnd: at.Add(time.Second), LastSuccess: at.Add(-time.Hour), Duration: 1500 * time.Millisecond,
				PeakMemory: 5, ExitCode: &code, Active: 2, FailuresInARow: 3, Ended: map[job.State]int64{job.Failed: 3}, Expected: true, Missed: true, Due: at.Add(time.Minute),
			},
			{Name: "new", Labels: []string{"", "x"}, Duration: -1, Ended: map[job.State]int64{}, Expected: true},
			{Name: "plain", Labels: []string{"", ""}, Duration: -1, Ended: map[job.State]int64{}},
		},
		Findings: []query.JobFindings{{Job: hostile, Rule: "quiet", Severity: job.Critical, Runs: 2}},
	}}
	w := newMetrics(s, Label{"team", "team"}, Label{"git.sha", "git_sha"}).get(t.Context())
	if got := w.Header().Get("Content-Type"); got != "text/plain; version=0.0.4; charset=utf-8" {
		t.Error(got)
	}
	var parser expfmt.TextParser
	got, err := parser.TextToMetricFamilies(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(help) {
		t.Errorf("%d families, and %d are explained", len(got), len(help))
	}
	for name, f := range got {
		if f.GetHelp() != help[name] || f.GetHelp() == "" || (f.GetType() == dto.MetricType_COUNTER) != strings.HasSuffix(name, "_total") {
			t.Errorf("%s is a %s with the help %q", name, f.GetType(), f.GetHelp())
		}
	}
	first, second, third := []string{"job_name=" + hostile, `team=a\"b`}, []string{"job_name=new", "git_sha=x"}, []string{"job_name=plain"}
	and := func(labels []string, more ...string) []string { return append(append([]string{}, labels...), more...) }
	for _, want := range []struct {
		name   string
		labels []string
		value  float64
	}{
		{"last_success_timestamp_seconds", first, 1799996400.25},
		{"last_start_timestamp_seconds", first, 1800000000.25},
		{"last_end_timestamp_seconds", first, 1800000001.25},
		{"last_duration_seconds", first, 1.5},
		{"last_peak_memory_bytes", first, 5},
		{"last_exit_code", first, 137},
		{"failures_in_a_row", first, 3},
		{"running", first, 2},
		{"running", third, 0},
		{"due_timestamp_seconds", first, 1800000060.25},
		{"missed", first, 1},
		{"missed", second, 0},
		{"findings", and(first, "rule=quiet", "severity=critical"), 2},
		{"runs_total", and(first, "state=failed"), 3},
		{"runs_total", and(third, "state=lost"), 0},
	} {
		if v, found := value(got["stint_job_"+want.name], want.labels...); !found || v != want.value {
			t.Errorf("%s of %q is %v (%v), want %v", want.name, want.labels, v, found, want.value)
		}
	}
	for _, name := range []string{"last_success_timestamp_seconds", "last_duration_seconds", "last_peak_memory_bytes", "last_exit_code", "due_timestamp_seconds", "missed"} {
		if v, found := value(got["stint_job_"+name], third...); found {
			t.Errorf("%s of a job without it is %v", name, v)
		}
	}
	if v, _ := value(got["stint_jobs_left_out"]); v != 7 {
		t.Errorf("%v jobs are left out", v)
	}
}

// However often and by how many the metrics are read, the store is asked each 10 seconds, and again after the clock was set back.
func TestTheStoreIsAskedSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeStore{turn: make(chan struct{}, 1)}
		m := newMetrics(s)
		now := time.Now()
		m.now = func() time.Time { return now }
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { m.get(t.Context()) })
		}
		synctest.Wait()
		s.turn <- struct{}{}
		all.Wait()
		for _, step := range []struct {
			by   time.Duration
			want int64
		}{{9 * time.Second, 1}, {time.Second, 2}, {-time.Hour, 3}, {time.Second, 3}} {
			now = now.Add(step.by)
			select {
			case s.turn <- struct{}{}:
			default:
			}
			m.get(t.Context())
			if n := s.reads.Load(); n != step.want {
				t.Errorf("after %s: %d reads, want %d", step.by, n, step.want)
			}
		}
	})
}

// A database that does not respond is an error, not metrics that are missing; a client that leaves takes the reading from
// nobody.
func TestAStoreThatDoesNotRespond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeStore{turn: make(chan struct{})}
		m := newMetrics(s)
		ctx, leave := context.WithCancel(t.Context())
		go m.get(ctx)
		synctest.Wait()
		leave()
		if w := m.get(t.Context()); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("status %d: %s", w.Code, w.Body)
		}
	})
}

type blockedWriter struct {
	http.ResponseWriter
	written, goOn chan struct{}
}

func (w blockedWriter) Write(p []byte) (int, error) {
	w.written <- struct{}{}
	<-w.goOn
	return w.ResponseWriter.Write(p)
}

// Somebody who reads slowly holds up no other.
func TestASlowClient(t *testing.T) {
	m := newMetrics(&fakeStore{})
	slow := blockedWriter{httptest.NewRecorder(), make(chan struct{}), make(chan struct{})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		m.Get(slow, httptest.NewRequest(http.MethodGet, "/metrics/jobs", nil))
	}()
	<-slow.written
	if w := m.get(t.Context()); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "stint_jobs_left_out 0\n") {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	close(slow.goOn)
	<-ended
}

// partsWriter notes how much is written at once.
type partsWriter struct {
	http.ResponseWriter
	most, total int
}

func (w *partsWriter) Write(p []byte) (int, error) {
	w.most, w.total = max(w.most, len(p)), w.total+len(p)
	return len(p), nil
}

// A response with 10,000 jobs is written in parts: it is never in memory as a whole.
func TestManyJobsAreWrittenInParts(t *testing.T) {
	s := &fakeStore{}
	for i := range 10_000 {
		s.figures.Jobs = append(s.figures.Jobs, query.JobFigures{Name: fmt.Sprintf("job-with-a-usual-name-%d", i), Ended: map[job.State]int64{}, Expected: true, LastStart: time.Now()})
	}
	w := &partsWriter{ResponseWriter: httptest.NewRecorder()}
	began := time.Now()
	newMetrics(s).Get(w, httptest.NewRequest(http.MethodGet, "/metrics/jobs", nil))
	t.Logf("%d bytes in %s", w.total, time.Since(began))
	if w.most > 64<<10 || w.total < 5<<20 {
		t.Errorf("%d bytes, of which %d at once", w.total, w.most)
	}
}

func TestLabels(t *testing.T) {
	got, err := Labels([]string{"team", "git.sha", "1st"})
	if want := []Label{{"team", "team"}, {"git.sha", "git_sha"}, {"1st", "_1st"}}; err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range [][]string{
		{""}, {"a=b"}, {"state"}, {"job"}, {"instance"}, {"job.name"}, {"__name__"}, {"a.b", "a-b"}, {"a", "a"}, strings.Split("a b c d e f g h i j k", " "),
	} {
		if got, err := Labels(bad); err == nil {
			t.Errorf("%q: %v", bad, got)
		} else {
			t.Log(err)
		}
	}
}
