package notify

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/notify/message"
	"stint.dev/stint/internal/notify/quiet"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
	"stint.dev/stint/journal"
)

// itemsTaken is a channel that writes down the events that it takes.
type itemsTaken struct{ whats []string }

func (b *itemsTaken) Send(_ context.Context, m message.Message) error {
	for _, i := range m.Items {
		b.whats = append(b.whats, i.What)
	}
	return nil
}

// A loss is sent with the success that followed it where both were held, unless the success became
// known while the notification of the loss waited.
func TestLossAndSuccessThatWereHeld(t *testing.T) {
	for name, c := range map[string]struct {
		lost, due time.Duration // from when the others end
		codes     []int         // of the runs of the job that end
		want      []string
	}{
		"due when a run succeeded":    {-time.Hour, -time.Minute, []int{0}, []string{"lost", "recovered"}},
		"it waited":                   {-time.Minute, time.Hour, []int{0}, nil},
		"it waited, beside a failure": {-time.Minute, time.Hour, []int{1, 0}, []string{"failed", "recovered"}},
	} {
		t.Run(name, func(t *testing.T) {
			onBothEngines(t, func(t *testing.T, db *store.Store) {
				begin := time.Now()
				loseRun(t, db, begin.Add(c.lost), begin.Add(c.due))
				for _, code := range c.codes {
					fail(t, db, "job", code)
				}
				if _, err := db.Dispatch(t.Context(), time.Now(), 10, func(api.Action, *job.Run) ([]string, string) { return []string{"team"}, "" }); err != nil {
					t.Fatal(err)
				}
				b := &itemsTaken{}
				w := New(Config{Store: db, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return begin.Add(2 * time.Hour) }})
				for range 2 { // the second time there is nothing left
					if _, err := w.deliverOne(t.Context(), api.Route{Name: "team", Enabled: true, GroupSeconds: 600}, b, quiet.Hours{}); err != nil {
						t.Fatal(err)
					}
				}
				if diff := cmp.Diff(c.want, b.whats); diff != "" {
					t.Errorf("sent (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// So it is with the next attempt of the run that was lost: the notification of the loss is withdrawn
// if that began while it waited, whatever it came to.
func TestLossAndTheNextAttempt(t *testing.T) {
	const due = -time.Hour // from when the next attempt ends
	for name, c := range map[string]struct {
		begun time.Duration
		code  int
		want  []string
	}{
		"it was due":             {due + time.Minute, 0, []string{"lost", "recovered"}},
		"it was due, a failure":  {due + time.Minute, 1, []string{"lost", "failed"}},
		"it waited":              {due - time.Minute, 0, nil},
		"it waited, a failure":   {due - time.Minute, 1, []string{"failed"}},
		"it waited to its end":   {due, 0, []string{"lost", "recovered"}},
		"it waited, nearly over": {due - time.Microsecond, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			onBothEngines(t, func(t *testing.T, db *store.Store) {
				ended := time.Now().Truncate(time.Microsecond)
				id := loseRun(t, db, ended.Add(2*due), ended.Add(due))
				dispatch := func() {
					if _, err := db.Dispatch(t.Context(), ended, 10, func(api.Action, *job.Run) ([]string, string) { return []string{"team"}, "" }); err != nil {
						t.Fatal(err)
					}
				}
				dispatch()
				nextAttempt(t, db, id, ended.Add(c.begun), ended, c.code)
				dispatch()
				b := &itemsTaken{}
				w := New(Config{Store: db, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return ended.Add(time.Hour) }})
				for range 2 { // the second time there is nothing left
					if _, err := w.deliverOne(t.Context(), api.Route{Name: "team", Enabled: true, GroupSeconds: 600}, b, quiet.Hours{}); err != nil {
						t.Fatal(err)
					}
				}
				if diff := cmp.Diff(c.want, b.whats); diff != "" {
					t.Errorf("sent (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// nextAttempt stores that the second attempt of a run begins at a time and ends at another.
func nextAttempt(t *testing.T, db *store.Store, id string, begun, ended time.Time, code int) {
	t.Helper()
	var buf bytes.Buffer
	jw, err := journal.NewWriter(&buf)
	if err == nil {
		err = jw.AppendJSON(journal.TypeAttempt, begun, journal.Attempt{Run: id, Attempt: 2, Job: "job", Args: []string{"x"}, Host: "box"})
	}
	size := buf.Len()
	if err == nil {
		o := job.Classify(job.Ending{Step: "command", Kind: job.CommandStep, ExitCode: code})
		err = jw.Finish(ended, journal.Final{Outcome: o})
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []index.Append{{Data: buf.Bytes()[:size], At: begun}, {Offset: int64(size), Data: buf.Bytes()[size:], At: ended}} {
		a.Run, a.Attempt = id, 2
		if got, _, err := db.Ingest(t.Context(), []index.Append{a}, nil); err != nil || got[0].Err != nil {
			t.Fatal(err, got)
		}
	}
}

// loseRun stores a run of a job that is lost at a time, which is to be notified at another.
func loseRun(t *testing.T, db *store.Store, lost, due time.Time) string {
	t.Helper()
	id := uuid.Must(uuid.NewV7()).String()
	var buf bytes.Buffer
	jw, err := journal.NewWriter(&buf)
	if err == nil {
		err = jw.AppendJSON(journal.TypeAttempt, lost, journal.Attempt{Run: id, Attempt: 1, Job: "job", Args: []string{"x"}, Host: "box"})
	}
	if err != nil {
		t.Fatal(err)
	}
	if got, _, err := db.Ingest(t.Context(), []index.Append{{Run: id, Attempt: 1, Data: buf.Bytes(), At: lost}}, nil); err != nil || got[0].Err != nil {
		t.Fatal(err, got)
	}
	l, err := db.Lease(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	judged, err := db.Judge(t.Context(), []lease.Verdict{{
		Run: id, Attempt: 1, ReportedAt: l.ReportedAt, At: lost, Lost: true, Evidence: "No heartbeat.",
		Outbox: []outbox.Entry{{
			Kind: outbox.Notify, Run: id, Attempt: 1, What: outbox.WhatLost, Severity: job.Critical, At: lost, After: due,
		}},
	}})
	if err != nil || len(judged) != 1 {
		t.Fatalf("judged %+v, %v", judged, err)
	}
	return id
}

// That an attempt was lost and reported again is dropped together, and only of what came before.
func TestHealedIn(t *testing.T) {
	at := time.Unix(1000, 0)
	lost := api.Action{Run: "r", Attempt: 1, What: outbox.WhatLost, CreatedAt: at}
	for name, c := range map[string]struct {
		healed api.Action
		want   bool
	}{
		"after it":            {api.Action{Run: "r", Attempt: 1, What: outbox.WhatHealed, CreatedAt: at.Add(time.Minute)}, true},
		"before it":           {api.Action{Run: "r", Attempt: 1, What: outbox.WhatHealed, CreatedAt: at.Add(-time.Minute)}, false},
		"sent before":         {api.Action{Run: "r", Attempt: 1, What: outbox.WhatHealed, CreatedAt: at.Add(time.Minute), Batch: 7}, false},
		"of the next attempt": {api.Action{Run: "r", Attempt: 2, What: outbox.WhatHealed, CreatedAt: at.Add(time.Minute)}, false},
		"of another run":      {api.Action{Run: "s", Attempt: 1, What: outbox.WhatHealed, CreatedAt: at.Add(time.Minute)}, false},
	} {
		if got := healedIn([]api.Action{lost, c.healed}, lost); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
