package agent

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stint.dev/stint/internal/agent/report"
)

// wire is a server of the two-call wire.
type wire struct {
	mu     sync.Mutex
	calls  []string
	answer func(n int) int // status of the n-th call; nil for 200
	beaten chan struct{}
}

func (w *wire) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, r.Method+" "+r.URL.Path+" "+string(body))
	if r.URL.Path == "/compat/j/heartbeat" {
		select {
		case w.beaten <- struct{}{}:
		default:
		}
	}
	if w.answer != nil {
		rw.WriteHeader(w.answer(len(w.calls)))
	}
}

func serve(t *testing.T, w *wire) report.Reporter {
	t.Helper()
	w.beaten = make(chan struct{}, 1)
	srv := httptest.NewServer(w)
	t.Cleanup(srv.Close)
	r, err := report.NewReporter(srv.URL + "/compat/j/")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestReportsTheWireOfTwoCalls(t *testing.T) {
	for script, last := range map[string]string{"true": "completed", "exit 2": "failed"} {
		w := &wire{}
		c, heard := config(t, nil, "sleep 0.2; "+script)
		c.Server, c.ReportTo, c.HeartbeatPeriod = nil, serve(t, w), 20*time.Millisecond
		Run(t.Context(), c)
		first, end := `PUT /compat/j/status {"status":"started"}`, `PUT /compat/j/status {"status":"`+last+`"}`
		if len(w.calls) < 4 || w.calls[0] != first || w.calls[len(w.calls)-1] != end {
			t.Errorf("calls %q", w.calls)
		}
		for _, beat := range w.calls[1 : len(w.calls)-1] {
			if beat != "PUT /compat/j/heartbeat " {
				t.Errorf("between start and end: %q", beat)
			}
		}
		if text := heard.text(); text != "" {
			t.Errorf("said %q", text)
		}
	}
}

func TestReportingTroubleDoesNotDisturb(t *testing.T) {
	w := &wire{answer: func(n int) int {
		if n == 2 {
			return http.StatusOK // the second try to say "started"
		}
		return http.StatusInternalServerError
	}}
	c, heard := config(t, nil, "sleep 0.2; exit 6")
	c.Server, c.ReportTo, c.HeartbeatPeriod, c.FlushTimeout = nil, serve(t, w), 20*time.Millisecond, 300*time.Millisecond
	begun := time.Now()
	got := Run(t.Context(), c)
	if got.ExitCode != 6 || time.Since(begun) > 3*time.Second {
		t.Errorf("result %+v after %s", got, time.Since(begun))
	}
	failed := slices.DeleteFunc(slices.Clone(w.calls), func(s string) bool { return !strings.Contains(s, "failed") })
	if len(failed) < 2 {
		t.Errorf("the end was told %d times, want it tried again: %q", len(failed), w.calls)
	}
	if strings.Count(heard.text(), "reporting") != 1 || strings.Contains(heard.text(), "\n") {
		t.Errorf("said %q", heard.text())
	}
}
