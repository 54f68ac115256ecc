package server_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/health"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/internal/server"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/postgrestest"
	"stint.dev/stint/job"
)

// pinged is a server with its monitor in virtual time, and a job of which pings report the runs.
type pinged struct {
	*live
	path string // of its pings
	stop func() // ends server and monitor
}

// inVirtualTime runs a test on each database with a job whose grace is three minutes.
func inVirtualTime(t *testing.T, test func(p *pinged)) {
	for name, options := range map[string]store.Options{"SQLite": {Dir: t.TempDir()}, "PostgreSQL": {}} {
		t.Run(name, func(t *testing.T) {
			if options.Dir == "" {
				options.URL = postgrestest.URL(t) // which starts in real time
			}
			synctest.Test(t, func(t *testing.T) {
				st, err := store.Open(t.Context(), options)
				if err != nil {
					t.Fatal(err)
				}
				p := &pinged{live: &live{t: t, store: st}}
				p.serve()
				defer func() {
					p.stop()
					if err := st.Close(); err != nil {
						t.Error(err)
					}
				}()
				due := p.from("192.0.2.1:1", "PUT", "/api/v1/jobs/backup/due", `{"every_seconds":86400,"grace_seconds":180}`,
					"Authorization", "Bearer "+p.mint(access.Admin, time.Time{}, time.Now()), "Content-Type", "application/json")
				if due.Code != http.StatusOK {
					t.Fatalf("%d: %s", due.Code, due.Body)
				}
				p.path = "/ping/" + p.mint(access.Ping, time.Time{}, time.Now()) + "/backup"
				test(p)
			})
		})
	}
}

// serve starts server and monitor.
func (p *pinged) serve() {
	p.t.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	var err error
	if p.srv, err = server.New(server.Config{Store: p.store, Log: log, RequireToken: true}); err != nil {
		p.t.Fatal(err)
	}
	monitor := health.New(health.Config{Store: p.store, Log: log, Arrived: p.srv.Arrived, Stored: p.srv.Stored})
	ctx, stop := context.WithCancel(p.t.Context())
	var loops sync.WaitGroup
	loops.Go(func() { p.srv.Run(ctx) })
	loops.Go(func() { monitor.Run(ctx) })
	p.stop = func() {
		stop()
		loops.Wait()
	}
}

func (p *pinged) ping(suffix string) {
	p.t.Helper()
	if w := p.from("192.0.2.1:1", "GET", p.path+suffix, ""); w.Code != http.StatusOK {
		p.t.Fatalf("%s: %d: %s", suffix, w.Code, w.Body)
	}
}

// after returns a run of the job after some time.
func (p *pinged) after(d time.Duration, ref string) job.Run {
	p.t.Helper()
	<-time.After(d)
	run, err := p.store.Run(p.t.Context(), ref)
	if err != nil {
		p.t.Fatal(err)
	}
	return run
}

// A run that has reported its start and not its end is overdue, and critical, when the grace of its job is over, and lost after
// the same time again. Its end heals it.
func TestPingedRunsBecomeOverdueAndLost(t *testing.T) {
	const only = "4f1f7e4e-6f8e-4bd5-9b35-9ba0e1f0a000"
	const grace, round = 3 * time.Minute, 12 * time.Second // all runs are judged in that time
	inVirtualTime(t, func(p *pinged) {
		p.ping("/start?rid=" + only)
		if run := p.after(grace-time.Second, only); run.State != job.Running || run.Health != job.Healthy || len(run.Findings) != 0 {
			p.t.Fatalf("before the grace is over: %s %s %+v", run.State, run.Health, run.Findings)
		}
		run := p.after(round+time.Second, only)
		if run.State != job.Running || run.Health != job.Critical || len(run.Findings) != 1 || run.Findings[0].Rule != policy.Overdue ||
			!strings.Contains(run.Findings[0].Evidence, "3 min") {
			p.t.Fatalf("after the grace: %s %s %+v", run.State, run.Health, run.Findings)
		}
		if run := p.after(grace-2*round, only); run.State != job.Running || len(run.Findings) != 1 {
			p.t.Fatalf("before it is lost: %s %+v", run.State, run.Findings)
		}
		run = p.after(2*round, only)
		if run.State != job.Lost || run.Outcome.Reason != job.AgentLost || !strings.Contains(run.Outcome.Message, "end was not reported") ||
			strings.Contains(run.Outcome.Message, "heartbeat") {
			p.t.Fatalf("after twice the grace: %s %+v", run.State, run.Outcome)
		}
		p.ping("?rid=" + only)
		if run := p.after(time.Second, only); run.State != job.Succeeded || *run.Outcome.ExitCode != 0 {
			p.t.Fatalf("with its end: %s %+v", run.State, run.Outcome)
		}
	})
}

// An end before twice the grace ends the finding, and runs with a rid are watched one by one.
func TestPingedRunsAreWatchedOneByOne(t *testing.T) {
	const a, b = "4f1f7e4e-6f8e-4bd5-9b35-9ba0e1f0a001", "4f1f7e4e-6f8e-4bd5-9b35-9ba0e1f0a002"
	inVirtualTime(t, func(p *pinged) {
		p.ping("/start?rid=" + a)
		p.after(2*time.Minute, a)
		p.ping("/start?rid=" + b)
		if x, y := p.after(75*time.Second, a), p.after(0, b); x.Health != job.Critical || y.Health != job.Healthy {
			p.t.Fatalf("after the grace of the first: %s, %s", x.Health, y.Health)
		}
		p.ping("/3?rid=" + a)
		if x, y := p.after(2*time.Minute, a), p.after(0, b); x.State != job.Failed || len(x.Findings) != 0 || y.Health != job.Critical {
			p.t.Fatalf("after the grace of the second: %s %+v, %s", x.State, x.Findings, y.Health)
		}
		if run := p.after(3*time.Minute, b); run.State != job.Lost {
			p.t.Fatalf("after twice the grace of the second: %s", run.State)
		}
	})
}

// Nothing is expected of a pinged run between its start and its end, so an outage of the server is no silence of it; it is lost when
// the server has been back for the grace.
func TestPingedRunsAfterAnOutage(t *testing.T) {
	const only = "4f1f7e4e-6f8e-4bd5-9b35-9ba0e1f0a003"
	inVirtualTime(t, func(p *pinged) {
		p.ping("/start?rid=" + only)
		p.after(time.Minute, only)
		p.stop()
		<-time.After(9 * time.Minute)
		p.serve()
		run := p.after(2*time.Minute+30*time.Second, only)
		if run.State != job.Running || len(run.Findings) != 1 || run.Findings[0].Rule != policy.Overdue || run.Health != job.Critical {
			p.t.Fatalf("before the server has been back for the grace: %s %+v", run.State, run.Findings)
		}
		if run := p.after(time.Minute, only); run.State != job.Lost || !strings.Contains(run.Outcome.Message, "could not accept pings all the time") {
			p.t.Fatalf("when it has been back for longer: %s %+v", run.State, run.Outcome)
		}
	})
}
