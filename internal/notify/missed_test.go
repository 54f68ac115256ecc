package notify

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// The ten jobs of a host that is down are missed at once: one message says so, and names the host.
func TestJobsOfAHostThatAreMissedAreOneMessage(t *testing.T) {
	onBothEngines(t, func(t *testing.T, db *store.Store) {
		var clock atomic.Pointer[time.Time]
		set := func(at time.Time) { clock.Store(&at) }
		now := func() time.Time { return *clock.Load() }
		set(time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC))
		db.Now = now
		for n := range 10 {
			name, id := fmt.Sprintf("backup-%d", n), uuid.Must(uuid.NewV7()).String()
			data := finished(t, name, id, 1, 0, now())
			if got, _, err := db.Ingest(t.Context(), []index.Append{{Run: id, Attempt: 1, Data: data, At: now()}}, nil); err != nil || got[0].Err != nil {
				t.Fatal(err, got)
			}
			e := job.Expectation{Cron: "0 3 * * *", GraceSeconds: 600}
			if err := db.SetDue(t.Context(), name, e, "ada", now()); err != nil {
				t.Fatal(err)
			}
		}
		took := newRecorder()
		setRoute(t, db, api.Route{Name: "team", URL: receiver(t, took.ServeHTTP)})
		w, _ := worker(t, db, func(c *Config) { c.Now = now })
		for end := now().Add(75 * time.Minute); now().Before(end); {
			if _, err := db.CheckDue(t.Context(), now()); err != nil {
				t.Fatal(err)
			}
			set(now().Add(3 * time.Second)) // a longer pause would count as a stop of the server
		}
		w.Wake()
		took.wait(t, 1)
		waitForAll(t, db)
		items := took.items()
		if len(took.took) != 1 || len(items) != 1 || took.took[0].Data.Title != "Stint: 10 jobs of host box were due and have not started" {
			t.Fatalf("%+v", took.took)
		}
		if i := items[0]; i.What != outbox.WhatMissed || i.Missed == nil || i.Missed.Jobs != 10 || i.Missed.Host != "box" || i.Severity != job.Critical {
			t.Errorf("%+v", i)
		}
		if text := took.took[0].Data.Text; strings.Count(text, " was due at 2026-03-01 03:00:00 UTC and has not started.") != 10 {
			t.Errorf("text %s", text)
		}
	})
}
