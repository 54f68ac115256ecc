package report

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"stint.dev/stint/job"
)

const runID = "0199aaaa-0000-7000-8000-000000000001"

func TestHealthchecksURLs(t *testing.T) {
	for raw, want := range map[string]string{
		"hc+https://hc-ping.com/b7e1":         "",
		"hc+http://127.0.0.1:8000/ping/key/a": "",
		"hc+https://hc-ping.com":              "has no path",
		"hc+https://hc-ping.com/":             "has no path",
		"hc+https://hc-ping.com/b7e1?rid=1":   "query",
		"hc+ftp://hc-ping.com/b7e1":           "does not begin",
		"hc+":                                 "does not begin",
		"hc+https:///b7e1":                    "no host",
	} {
		_, err := NewReporter(raw, runID)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", raw, err, want)
		}
	}
}

func TestCodesOfEnds(t *testing.T) {
	code := func(n int) *int { return &n }
	for name, c := range map[string]struct {
		o    job.Outcome
		want int
	}{
		"success":          {job.Outcome{State: job.Succeeded, ExitCode: code(0)}, 0},
		"failure":          {job.Outcome{State: job.Failed, ExitCode: code(3)}, 3},
		"a signal":         {job.Outcome{State: job.Failed, SignalNumber: 9}, 137},
		"a time limit":     {job.Outcome{State: job.TimedOut, SignalNumber: 15}, 124},
		"canceled with 0":  {job.Outcome{State: job.Canceled, ExitCode: code(0)}, 1},
		"a code too large": {job.Outcome{State: job.Failed, ExitCode: code(3221225477)}, 255},
		"a negative one":   {job.Outcome{State: job.Failed, ExitCode: code(-1)}, 1},
		"no program":       {job.Outcome{State: job.Failed, Reason: job.CouldNotStart, Errno: "ENOENT"}, 127},
	} {
		if got := codeOf(c.o); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// A run is a start and an exit code with the same rid, and no heartbeat, however long it runs.
func TestARunIsReportedToHealthchecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var got []string
		h := &healthchecks{httpReporter: &httpReporter{base: "http://checks.example/b7e1", shown: "checks", client: &http.Client{
			Transport: roundTrip(func(r *http.Request) *http.Response {
				body, _ := io.ReadAll(r.Body)
				mu.Lock()
				defer mu.Unlock()
				got = append(got, r.Method+" "+r.URL.RequestURI()+" "+string(body))
				return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("OK")), Header: http.Header{}}
			}),
		}}, run: runID}
		r := Start(t.Context(), Config{To: h, Period: time.Second, Print: func(line string) { t.Error(line) }})
		<-time.After(time.Hour)
		three := 3
		r.Finish(t.Context(), job.Outcome{State: job.Failed, Reason: job.ExitCode, ExitCode: &three, Message: "Exited with code 3."}, time.Minute)
		want := []string{"POST /b7e1/start?rid=" + runID + " ", "POST /b7e1/3?rid=" + runID + " Exited with code 3."}
		if !slices.Equal(got, want) {
			t.Errorf("calls %q, want %q", got, want)
		}
	})
}

// The end has as much of the end of the output as the server takes.
func TestTheEndHasTheOutput(t *testing.T) {
	output := strings.Repeat("0123456789", 20_000)
	for limit, want := range map[string]string{
		"": output[len(output)-untoldTail:], "none": output[len(output)-untoldTail:], "-1": output[len(output)-untoldTail:],
		"5": "56789", "0": "9", "100000": output[len(output)-maxTail:], "10000000": output[len(output)-maxTail:],
	} {
		var got []string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			got = append(got, string(body))
			if limit != "" {
				w.Header().Set("Ping-Body-Limit", limit)
			}
		}))
		r, err := NewReporter("hc+"+server.URL+"/b7e1", runID)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = KeepTail(r).Write([]byte("of the attempt before"))
		_, _ = KeepTail(r).Write([]byte(output))
		for _, o := range []*job.Outcome{nil, {State: job.Succeeded, Message: "Exited with code 0."}} {
			if err := r.Status(t.Context(), "", o); err != nil {
				t.Error(err)
			}
		}
		server.Close()
		if len(got) != 2 || got[0] != "" || got[1] != want {
			t.Errorf("limit %q: %d bodies, the last of %d bytes; want %d", limit, len(got), len(got[len(got)-1]), len(want))
		}
	}
}

type roundTrip func(*http.Request) *http.Response

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

// The path of a check is a secret: no message has it.
func TestErrorsDoNotShowThePathOfACheck(t *testing.T) {
	refusing := httptest.NewServer(http.NotFoundHandler())
	defer refusing.Close()
	r, err := NewReporter("hc+"+refusing.URL+"/b7e1-secret", runID)
	if err != nil {
		t.Fatal(err)
	}
	defer r.(*healthchecks).Close()
	err = r.Status(t.Context(), statusStarted, nil)
	if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), refusing.URL) || !strings.Contains(err.Error(), "404") {
		t.Errorf("error %v", err)
	}
}
