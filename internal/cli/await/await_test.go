package await

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/cli/clitest"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/job"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// runsServer has runs by id. The stream of one that has not ended says so and goes on.
func runsServer(t *testing.T, runs map[string]job.Run) *client.Client {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/runs/{run}", func(w http.ResponseWriter, r *http.Request) { clitest.Answer(t, w, runs[r.PathValue("run")]) })
	mux.HandleFunc("GET /api/v1/runs/{run}/stream", func(w http.ResponseWriter, r *http.Request) {
		run := runs[r.PathValue("run")]
		w.Header().Set("Content-Type", "text/event-stream")
		data, err := json.Marshal(run)
		if err != nil {
			t.Error(err)
		}
		fmt.Fprintf(w, "event: run\ndata: %s\n\n", data)
		if !run.State.Terminal() {
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return
		}
		fmt.Fprint(w, "event: end\ndata: {}\n\n")
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	c, err := client.New(client.Options{URL: s.URL, UserAgent: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// The first bad run in the order of the arguments decides.
func TestSeveralRuns(t *testing.T) {
	begun := noon
	ended := func(name string, state job.State, code int) job.Run {
		return job.Run{ID: name, Job: name, Number: 1, State: state, Attempt: 1, StartedAt: &begun, Outcome: &job.Outcome{State: state, ExitCode: &code}}
	}
	all := map[string]job.Run{
		"good": ended("good", job.Succeeded, 0), "better": ended("better", job.Succeeded, 0), "bad": ended("bad", job.Failed, 3), "worse": ended("worse", job.Failed, 9),
		"lost": {ID: "lost", Job: "lost", Number: 1, State: job.Lost, Attempt: 1, StartedAt: &begun}, "active": {ID: "active", Job: "active", Number: 1, State: job.Retrying, Attempt: 1},
	}
	c := runsServer(t, all)
	find := func(_ context.Context, name string) (job.Run, error) {
		run, known := all[name]
		if !known {
			return run, errors.New("no run " + name)
		}
		return run, nil
	}
	for args, want := range map[string]int{
		"good": 0, "good better": 0, "good good": 0, "good bad": 3, "bad good": 3, "worse bad": 9, "bad worse": 3, "good lost bad": 125, "bad lost": 3,
		"active": TimedOut, "active bad": TimedOut, "bad active": TimedOut,
	} {
		p, printed := clitest.Console(t, func(string) string { return "" })
		o := Options{Timeout: time.Minute}
		if want == TimedOut {
			o.Timeout = 50 * time.Millisecond
		}
		err := Named(t.Context(), p, c, strings.Fields(args), o, find)
		code := 0
		var exit *console.ExitError
		if errors.As(err, &exit) {
			code = exit.Code
		}
		_, stderr := printed()
		if code != want || code == 0 && err != nil || strings.Contains(stderr, "good") || want == TimedOut && !strings.Contains(stderr, "active#1 has not ended after 50 ms: it is retrying") {
			t.Errorf("%s: %v, want %d; %s", args, err, want, stderr)
		}
	}
	p, _ := clitest.Console(t, func(string) string { return "" })
	if err := Named(t.Context(), p, c, []string{"good", "none"}, Options{}, find); err == nil || err.Error() != "no run none" {
		t.Error(err)
	}
}

// A server that is away is waited for, and named once; a refusal is final.
func TestPatiently(t *testing.T) {
	away := &client.UnreachableError{URL: "http://x", Err: errors.New("refused")}
	for name, c := range map[string]struct {
		replies []error
		want    error
		says    string
	}{
		"at once":  {[]error{nil}, nil, ""},
		"away":     {[]error{away, &job.Problem{Status: 503}, &client.ForeignReplyError{Status: 502}, nil}, nil, "waiting for the server\nthe server answers again\n"},
		"refused":  {[]error{away, &job.Problem{Status: 404, Title: "no"}}, &job.Problem{Status: 404, Title: "no"}, "waiting for the server\n"},
		"a defect": {[]error{errors.New("x")}, errors.New("x"), ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			var printed strings.Builder
			outage := NewOutage(func(format string, args ...any) {
				text := fmt.Sprintf(format, args...)
				fmt.Fprintln(&printed, text[strings.LastIndex(text, "; ")+1:])
			})
			n := 0
			got, err := Patiently(t.Context(), outage, func() (int, error) { n++; return n, c.replies[n-1] })
			if n != len(c.replies) || err == nil && got != n || fmt.Sprint(err) != fmt.Sprint(c.want) || strings.ReplaceAll(printed.String(), " waiting", "waiting") != c.says {
				t.Errorf("%s: %d, %v, %q", name, got, err, printed.String())
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		outage := NewOutage(func(string, ...any) {})
		if _, err := Patiently(ctx, outage, func() (int, error) { return 0, away }); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}
