package notify

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
	"stint.dev/stint/journal"
)

// A run whose agent is gone is ended by its cancel, and a policy's retry that no agent
// waits for is given up with the reason.
func TestActionsHaveAnEnd(t *testing.T) {
	onBothEngines(t, func(t *testing.T, db *store.Store) {
		id := uuid.Must(uuid.NewV7()).String()
		var buf bytes.Buffer
		w, err := journal.NewWriter(&buf)
		if err == nil {
			err = w.AppendJSON(journal.TypeAttempt, time.Now(), journal.Attempt{Run: id, Attempt: 1, Job: "train", Args: []string{"x"}})
		}
		if err != nil {
			t.Fatal(err)
		}
		past := time.Now().Add(-time.Hour)
		if _, _, err := db.Ingest(t.Context(), []index.Append{{Run: id, Attempt: 1, Data: buf.Bytes(), At: past}}, nil); err != nil {
			t.Fatal(err)
		}
		if _, _, err := db.RequestCancel(t.Context(), id, job.Cancel{By: "ada", At: past}); err != nil {
			t.Fatal(err)
		}
		failed := fail(t, db, "other", 1)
		entry := outbox.Entry{Kind: outbox.Retry, Run: failed, Attempt: 1, What: "failed", By: "policy of job other", At: past}
		if err := db.AddOutbox(t.Context(), []outbox.Entry{entry}); err != nil {
			t.Fatal(err)
		}
		changed := make(chan string, 10)
		work(t, db, func(c *Config) { c.Changed = func(run string) { changed <- run } })
		if got := <-changed; got != id {
			t.Errorf("changed %s, want %s", got, id)
		}
		counted(t, db, func(count map[string]int) bool { // and each was tried
			all, err := db.Actions(t.Context(), query.Actions{Run: failed, Limit: 10})
			tried := err == nil && slices.ContainsFunc(all, func(a api.Action) bool { return a.LastError != "" })
			return tried && count[outbox.Pending] == 1 && count[outbox.Done] == 1
		})
		run, err := db.Run(t.Context(), id)
		if err != nil || run.State != job.Canceled {
			t.Errorf("run: %+v %v", run, err)
		}
		for _, of := range []struct{ run, kind, status string }{{id, "cancel", "done"}, {failed, "retry", "pending"}} {
			all, err := db.Actions(t.Context(), query.Actions{Run: of.run, Limit: 10})
			if err != nil || !slices.ContainsFunc(all, func(a api.Action) bool { return a.Kind == of.kind && a.Status == of.status && a.LastError != "" }) {
				t.Errorf("%s: %+v %v", of.kind, all, err)
			}
		}
		last := api.Action{ID: 1, Kind: outbox.Retry, Run: failed, What: "failed", Tries: maxAgentChecks}
		if got, err := New(Config{Store: db}).actOn(t.Context(), last, time.Now()); err != nil || got.Status != outbox.Failed || !strings.Contains(got.Error, "does not wait") {
			t.Errorf("after the last look: %+v %v", got, err)
		}
	})
}

// A retry by policy follows the attempt that it was decided for: once a person has started
// another one, it is dropped, and that attempt's end is left alone.
func TestARetryByPolicyIsForOneAttempt(t *testing.T) {
	onBothEngines(t, func(t *testing.T, db *store.Store) {
		id := fail(t, db, "train", 1)
		waits := func(attempt int) {
			t.Helper()
			beat := lease.Beat{Run: id, Attempt: attempt, At: time.Now(), Lease: time.Minute, Heartbeat: job.Heartbeat{WaitingMS: 600_000, PeriodMS: 5000}}
			if _, got, err := db.Ingest(t.Context(), nil, []lease.Beat{beat}); err != nil || got[0].Err != nil {
				t.Fatal(err, got)
			}
		}
		policy := api.Action{ID: 1, Kind: outbox.Retry, Run: id, Attempt: 1, What: "failed", By: "the policy of the job"}
		w := New(Config{Store: db})
		follow := func(status string) {
			t.Helper()
			if got, err := w.actOn(t.Context(), policy, time.Now()); err != nil || got.Status != status {
				t.Errorf("%+v %v, want %s", got, err, status)
			}
		}
		waits(1)
		if _, _, err := db.RequestRetry(t.Context(), id, 0, "ada", "", time.Now()); err != nil {
			t.Fatal(err)
		}
		follow(outbox.Done) // the same attempt is wanted: one begins
		endAttempt(t, db, "train", id, 2, 1)
		waits(2)
		follow(outbox.Dropped)
		if run, err := db.Run(t.Context(), id); err != nil || run.State != job.Failed || run.Attempt != 2 {
			t.Errorf("run: %+v %v", run, err)
		}
	})
}

func TestTestMessage(t *testing.T) {
	h := newRecorder()
	w := New(Config{Options: Options{PrivateTargets: true}})
	if err := w.TestRoute(t.Context(), api.Route{Name: "team", URL: receiver(t, h.ServeHTTP)}); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(h.took[0].Type, " ", h.took[0].Data.Title); got != "server.test Stint: test message" {
		t.Error(got)
	}
}
