package report

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"stint.dev/stint/internal/agent/delivery"
	"stint.dev/stint/job"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNewReporterRefuses(t *testing.T) {
	for _, raw := range []string{"", "host:1/x", "ftp://host", "http://", "http://host?q=1", "http://ho st"} {
		if _, err := NewReporter(raw, ""); err == nil {
			t.Errorf("NewReporter(%q) takes it", raw)
		}
	}
}

// fake is a Reporter that counts its calls and answers as the test wants.
type fake struct {
	answer func(ctx context.Context, call string) error

	mu    sync.Mutex
	calls []string
}

func (f *fake) call(ctx context.Context, name string) error {
	f.mu.Lock()
	f.calls = append(f.calls, name)
	f.mu.Unlock()
	if f.answer == nil {
		return nil
	}
	return f.answer(ctx, name)
}

func (f *fake) Status(ctx context.Context, status string, _ *job.Outcome) error {
	return f.call(ctx, status)
}
func (f *fake) Heartbeat(ctx context.Context) error { return f.call(ctx, "heartbeat") }

func (f *fake) all() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

func silent(ctx context.Context, _ string) error {
	<-ctx.Done()
	return ctx.Err()
}

var (
	errAway    = errors.New("connection refused")
	errRefused = &job.Problem{Status: 404, Title: "Not Found"}
)

// endOf reports a run of some length to f, and returns how long its end was delayed.
func endOf(t *testing.T, f *fake, c Config, ran, flush time.Duration) (time.Duration, []string) {
	t.Helper()
	var printed []string
	c.To, c.Period, c.Print = f, time.Second, func(line string) { printed = append(printed, line) }
	r := Start(t.Context(), c)
	<-time.After(ran)
	synctest.Wait()
	begun := time.Now()
	r.Finish(t.Context(), job.Outcome{State: job.Failed}, flush)
	return time.Since(begun), printed
}

func TestHowARunIsReported(t *testing.T) {
	from := func(status string, err error) func(context.Context, string) error {
		begun := false
		return func(_ context.Context, call string) error {
			if begun = begun || call == status; begun {
				return err
			}
			return nil
		}
	}
	for _, c := range []struct {
		name   string
		answer func(context.Context, string) error
		ran    time.Duration
		flush  time.Duration
		took   time.Duration // at most
		calls  []string      // the first ones
		last   int           // how many times the last status was sent, at least
		most   int           // and at most
	}{
		{"as it should be", nil, 2500 * time.Millisecond, 30 * time.Second, 0, []string{"started", "heartbeat", "heartbeat", "failed"}, 1, 1},
		{"no time to flush", nil, 500 * time.Millisecond, 0, 0, []string{"started", "failed"}, 1, 1},
		{"nobody there, no time", func(context.Context, string) error { return errAway }, 500 * time.Millisecond, 0, 0, []string{"started", "started", "failed"}, 1, 1},
		{"nobody there", func(context.Context, string) error { return errAway }, 500 * time.Millisecond, 30 * time.Second, time.Second, []string{"started", "started", "failed"}, 1, 5},
		{"hung", silent, 500 * time.Millisecond, 30 * time.Second, time.Second, []string{"started", "failed"}, 1, 1},
		{"hung, no time", silent, 500 * time.Millisecond, 0, time.Second, []string{"started", "failed"}, 1, 1},
		{"away at the end", from("failed", errAway), 1500 * time.Millisecond, 10 * time.Second, 10 * time.Second, []string{"started", "heartbeat", "failed", "failed"}, 3, 20},
		{"refused at the end", from("failed", errRefused), 1500 * time.Millisecond, 10 * time.Second, 3 * time.Second, []string{"started", "heartbeat", "failed"}, 3, 3},
		{"hung at the end, no time", func(ctx context.Context, call string) error {
			if call == "failed" {
				return silent(ctx, call)
			}
			return nil
		}, 1500 * time.Millisecond, 0, 5 * time.Second, []string{"started", "heartbeat", "failed"}, 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{answer: c.answer}
				took, printed := endOf(t, f, Config{}, c.ran, c.flush)
				got := f.all()
				if took > c.took || len(got) < len(c.calls) || !slices.Equal(got[:len(c.calls)], c.calls) {
					t.Errorf("calls %q, the end was delayed by %s; want %q, at most %s", got, took, c.calls, c.took)
				}
				last := 0
				for _, call := range got {
					if call == "failed" {
						last++
					}
				}
				if last < c.last || last > c.most {
					t.Errorf("the last status was sent %d times, want %d to %d", last, c.last, c.most)
				}
				if ok := c.answer == nil; ok != (len(printed) == 0) || len(printed) > 1 {
					t.Errorf("printed %q", printed)
				}
			})
		})
	}
}

// A run that ends while its "started" is under way must not send it twice: the other side
// would take it for a second run.
func TestStartedIsSentOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		f := &fake{answer: func(ctx context.Context, call string) error {
			if call == "started" {
				<-time.After(700 * time.Millisecond)
			}
			return ctx.Err()
		}}
		_, printed := endOf(t, f, Config{}, 0, time.Minute)
		if got := f.all(); !slices.Equal(got, []string{"started", "failed"}) || len(printed) != 0 || time.Since(begun) != 700*time.Millisecond {
			t.Errorf("calls %q after %s, printed %q", got, time.Since(begun), printed)
		}
	})
}

// Only the first of many runs waits a second for a server that hangs.
func TestHungServerIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := t.TempDir()
		for i, want := range []time.Duration{900 * time.Millisecond, 150 * time.Millisecond} {
			took, _ := endOf(t, &fake{answer: silent}, Config{Hung: delivery.NewHungServers(state, "http://a")}, 0, time.Minute)
			if took != want {
				t.Errorf("run %d: the end was delayed by %s, want %s", i+1, took, want)
			}
		}
	})
}

// A failure names the address and the call once each, and no password.
func TestErrorsNameTheAddressOnce(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	refusing := httptest.NewServer(http.NotFoundHandler())
	defer refusing.Close()
	for base, want := range map[string]string{
		gone.URL:     "report to %s/compat/j: dial tcp ",
		refusing.URL: "report to %s/compat/j: PUT /status was refused (HTTP 404)",
	} {
		base = strings.Replace(base, "http://", "http://ada:hunter2@", 1)
		r, err := NewReporter(base+"/compat/j", "")
		if err != nil {
			t.Fatal(err)
		}
		err = r.Status(t.Context(), "started", nil)
		r.(*httpReporter).Close()
		want = strings.Replace(want, "%s", strings.Replace(base, "hunter2", "xxxxx", 1), 1)
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Count(err.Error(), "http://") != 1 {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

// A redirect to another host is not followed: it is reported, once.
func TestRedirectsAreNotFollowedElsewhere(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") }))
	defer elsewhere.Close()
	to := strings.Replace(elsewhere.URL, "127.0.0.1", "localhost", 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, to+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	defer srv.Close()
	r, err := NewReporter(srv.URL+"/compat/j", "")
	if err != nil {
		t.Fatal(err)
	}
	defer r.(*httpReporter).Close()
	if err := r.Status(t.Context(), "started", nil); err == nil || !strings.Contains(err.Error(), to) {
		t.Errorf("error %v, want it to name %s", err, to)
	}
}
