package store_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// runsOfAllStates stores runs in all states that a run with an attempt can have, by name.
func runsOfAllStates(t *testing.T, s *store.Store) map[string]string {
	t.Helper()
	ids := map[string]string{}
	begin := func(name string) *testJournal {
		j := newJournal(t, journal.Attempt{Job: name, Labels: map[string]string{"team": "ml", "gpu": "a100"}})
		j.command()
		j.output("one\ntwo")
		j.sample(1000)
		j.sample(2000)
		j.json(journal.TypeStatus, journal.Status{Text: "epoch 3"})
		ids[name] = j.id
		return j
	}
	send := func(j *testJournal) {
		offset, data := j.take()
		one(t, s, j.id, 1, offset, data)
	}
	for name, code := range map[string]int{"succeeded": 0, "failed": 3} {
		j := begin(name)
		j.end(code)
		send(j)
	}
	retrying := begin("retrying")
	at := retrying.at.Add(time.Minute)
	o := job.Classify(job.Ending{Step: "command", Kind: job.CommandStep, ExitCode: 3})
	o.RetryAt = &at
	must(t, retrying.w.Finish(retrying.tick(), journal.Final{Outcome: o}))
	send(retrying)
	flushed := begin("lost by its journal")
	must(t, flushed.w.Finish(flushed.tick(), journal.Final{Outcome: job.Unfinished(false, flushed.at)}))
	send(flushed)
	for _, name := range []string{"running", "stopping", "lost", "canceled"} {
		send(begin(name))
	}
	_, _, err := s.RequestCancel(t.Context(), ids["stopping"], job.Cancel{By: "ada", Why: "enough", At: noon})
	must(t, err)
	lose(t, s, ids["lost"])
	_, _, err = s.RequestCancel(t.Context(), ids["canceled"], job.Cancel{By: "ada", At: noon})
	must(t, err)
	if _, err = s.FollowCancel(t.Context(), ids["canceled"], 1, job.Cancel{By: "ada", At: noon.Add(time.Hour)}, true); err != nil {
		t.Fatal(err)
	}
	for name, id := range ids {
		want, _, _ := strings.Cut(name, " ")
		if got := mustRun(t, s, id).State; string(got) != want {
			t.Fatalf("run %q is %s", name, got)
		}
	}
	return ids
}

// columnsOf returns all columns of the rows of a run, by table and row.
func columnsOf(t *testing.T, s *store.Store, id string) map[string]map[string]any {
	t.Helper()
	all := map[string]map[string]any{}
	for table, key := range map[string]string{"runs": "id", "run_labels": "run_id", "attempts": "run_id", "blocks": "run_id"} {
		order := map[string]string{"runs": "id", "run_labels": "key", "attempts": "attempt", "blocks": "start"}[table]
		rows, err := s.Reader.QueryContext(t.Context(), `SELECT * FROM `+table+` WHERE `+key+` = $1 ORDER BY `+order, id)
		must(t, err)
		names, err := rows.Columns()
		must(t, err)
		for n := 0; rows.Next(); n++ {
			values := make([]any, len(names))
			for i := range values {
				values[i] = new(any)
			}
			must(t, rows.Scan(values...))
			row := map[string]any{}
			for i, name := range names {
				row[name] = *values[i].(*any)
				if text, ok := row[name].([]byte); ok {
					row[name] = string(text)
				}
			}
			all[fmt.Sprint(table, " ", n)] = row
		}
		must(t, rows.Err())
		must(t, rows.Close())
	}
	return all
}

// unlike removes what a repair need not write as intake did: where small blocks are merged next, and
// the names of blocks as they were when they arrived.
func unlike(t *testing.T, all map[string]map[string]any, columns ...string) map[string]map[string]any {
	t.Helper()
	for _, row := range all {
		for _, name := range columns {
			delete(row, name)
		}
		for name, keys := range map[string][]string{"doc": {"tiers", "streams"}, "head": {"open"}} {
			text, ok := row[name].(string)
			if !ok {
				continue
			}
			doc := map[string]any{}
			if err := json.Unmarshal([]byte(text), &doc); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			for _, key := range slices.Concat(keys, columns) {
				delete(doc, key)
			}
			row[name] = doc
		}
	}
	return all
}

// changeDoc changes the document of a run as no server does.
func changeDoc(t *testing.T, s *store.Store, id string, change func(doc map[string]any)) {
	t.Helper()
	var text string
	must(t, s.Reader.QueryRowContext(t.Context(), `SELECT doc FROM runs WHERE id = $1`, id).Scan(&text))
	doc := map[string]any{}
	must(t, json.Unmarshal([]byte(text), &doc))
	change(doc)
	changed, err := json.Marshal(doc)
	must(t, err)
	must(t, s.Exec(t.Context(), `UPDATE runs SET doc = $2 WHERE id = $1`, id, string(changed)))
}

// repair repairs a store, and returns the runs that had a fault each.
func repair(t *testing.T, s *store.Store) map[string]bool {
	t.Helper()
	repaired := map[string]bool{}
	for _, f := range check(t, s, true) {
		if repaired[f.Run] || f.Repaired == "" {
			t.Errorf("found %+v", f)
		}
		repaired[f.Run] = true
	}
	return repaired
}

// After a repair every column has what intake wrote for the same journal, whichever of them was
// damaged, in whatever state the run is.
func TestRepairWritesWhatIntakeWrote(t *testing.T) {
	exec := func(query string) func(*testing.T, *store.Store, string) {
		return func(t *testing.T, s *store.Store, id string) {
			t.Helper()
			must(t, s.Exec(t.Context(), query, id))
		}
	}
	damages := map[string]func(*testing.T, *store.Store, string){
		"job":                exec(`UPDATE runs SET job = job || 'x' WHERE id = $1`),
		"leased":             exec(`UPDATE runs SET leased = 1 - leased WHERE id = $1`),
		"started_at":         exec(`UPDATE runs SET started_at = 7 WHERE id = $1`),
		"ended_at":           exec(`UPDATE runs SET ended_at = 7 WHERE id = $1`),
		"peak_memory":        exec(`UPDATE runs SET peak_memory = 7 WHERE id = $1`),
		"cancel":             exec(`UPDATE runs SET cancel = '{}' WHERE id = $1`),
		"acknowledged":       exec(`UPDATE runs SET acknowledged = 1 WHERE id = $1`),
		"suspended":          exec(`UPDATE runs SET suspended = 1 WHERE id = $1`),
		"status":             exec(`UPDATE runs SET status = 'x' WHERE id = $1`),
		"host":               exec(`UPDATE runs SET host = 'x' WHERE id = $1`),
		"labels":             exec(`DELETE FROM run_labels WHERE run_id = $1 AND key = 'gpu'`),
		"health":             exec(`UPDATE runs SET health = CASE WHEN health = '' THEN 'critical' ELSE '' END WHERE id = $1`),
		"attempt's size":     exec(`UPDATE attempts SET size = size + 1 WHERE run_id = $1`),
		"head's lines":       exec(`UPDATE blocks SET head = REPLACE(head, '"lines":2', '"lines":3') WHERE run_id = $1`),
		"samples of a block": exec(`UPDATE blocks SET samples = '[]' WHERE run_id = $1`),
		"output": func(t *testing.T, s *store.Store, id string) {
			changeDoc(t, s, id, func(doc map[string]any) { doc["output"].(map[string]any)["lines"] = 9 })
		},
		"usage": func(t *testing.T, s *store.Store, id string) {
			changeDoc(t, s, id, func(doc map[string]any) { doc["usage"].(map[string]any)["processes"] = 99 })
		},
	}
	onBoth(t, store.Keep{}, func(t *testing.T, s *store.Store, _ string) {
		s.SetClock(func() time.Time { return noon })
		ids := runsOfAllStates(t, s)
		if found := check(t, s, false); len(found) != 0 {
			t.Fatalf("before: %+v", found)
		}
		want := map[string]map[string]map[string]any{}
		for name, id := range ids {
			want[name] = unlike(t, columnsOf(t, s, id))
		}
		for _, what := range slices.Sorted(maps.Keys(damages)) {
			for _, id := range ids {
				damages[what](t, s, id)
			}
			repaired := repair(t, s)
			for name, id := range ids {
				if !repaired[id] {
					t.Errorf("%s, %s: not repaired", name, what)
				}
				if diff := cmp.Diff(want[name], unlike(t, columnsOf(t, s, id))); diff != "" {
					t.Errorf("%s, %s: columns (-intake +repair):\n%s", name, what, diff)
				}
			}
		}
		if found := check(t, s, false); len(found) != 0 {
			t.Errorf("after: %+v", found)
		}
	})
}

// The state of a run is the one that its journal and the server's own decisions lead to, with the
// outcome that belongs to it, whatever the row says.
func TestRepairOfStates(t *testing.T) {
	onBoth(t, store.Keep{}, func(t *testing.T, s *store.Store, _ string) {
		s.SetClock(func() time.Time { return noon })
		ids := runsOfAllStates(t, s)
		outcomes := map[string]any{
			"succeeded": nil, "failed": nil, "canceled": nil, "running": nil,
			"lost": map[string]any{"state": "lost", "reason": "agent_lost", "message": "No heartbeat."},
		}
		names := []string{"succeeded", "failed", "lost by its journal", "retrying", "running"}
		before, want := map[string]job.Run{}, map[string]map[string]map[string]any{}
		for _, name := range names {
			before[name] = mustRun(t, s, ids[name])
			want[name] = unlike(t, columnsOf(t, s, ids[name]), "backlog", "diagnose")
		}
		for _, state := range slices.Sorted(maps.Keys(outcomes)) {
			damaged := slices.DeleteFunc(slices.Clone(names), func(name string) bool { // no damage
				return state == string(before[name].State) && name != "lost by its journal" || name == "running" && state == "lost" || name == "retrying" && state == "failed"
			})
			for _, name := range damaged {
				must(t, s.Exec(t.Context(), `UPDATE runs SET state = $2 WHERE id = $1`, ids[name], state))
				changeDoc(t, s, ids[name], func(doc map[string]any) { doc["outcome"] = outcomes[state] })
			}
			repaired := repair(t, s)
			if len(repaired) != len(damaged) {
				t.Errorf("called %s: %d runs were repaired, want %d", state, len(repaired), len(damaged))
			}
			for _, name := range damaged {
				id := ids[name]
				run := mustRun(t, s, id)
				if !repaired[id] || run.State != before[name].State || cmp.Diff(before[name].Outcome, run.Outcome) != "" {
					t.Errorf("%s, called %s: repaired %t to %s with %+v", name, state, repaired[id], run.State, run.Outcome)
				}
				if diff := cmp.Diff(want[name], unlike(t, columnsOf(t, s, id), "backlog", "diagnose")); diff != "" {
					t.Errorf("%s, called %s: columns (-intake +repair):\n%s", name, state, diff)
				}
			}
		}
		if found := check(t, s, false); len(found) != 0 { // what the server decided is not damage
			t.Errorf("after: %+v", found)
		}
	})
}

// A run whose row is missing or unreadable is as its journal says; what no journal has is new.
func TestRepairOfRows(t *testing.T) {
	onBoth(t, store.Keep{}, func(t *testing.T, s *store.Store, _ string) {
		s.SetClock(func() time.Time { return noon })
		ids := runsOfAllStates(t, s)
		columns := []string{"number", "created_at", "start_at", "reported_at", "expires_at", "end_known_at", "backlog", "evidence", "late", "text_id", "delivered_late_seconds"}
		names := []string{"succeeded", "failed", "lost by its journal", "retrying", "running"}
		before, want := map[string][]string{}, map[string]map[string]map[string]any{}
		for _, name := range names {
			before[name] = history(t, s, ids[name])
			want[name] = unlike(t, columnsOf(t, s, ids[name]), columns...)
		}
		for what, damage := range map[string]string{
			"missing": `DELETE FROM runs WHERE id = $1`, "unreadable": `UPDATE runs SET doc = '{' WHERE id = $1`,
		} {
			for _, name := range names {
				must(t, s.Exec(t.Context(), damage, ids[name]))
			}
			repaired := repair(t, s)
			for _, name := range names {
				id := ids[name]
				if !repaired[id] || len(repaired) != len(names) {
					t.Errorf("%s, %s: %d runs were repaired", name, what, len(repaired))
				}
				if diff := cmp.Diff(want[name], unlike(t, columnsOf(t, s, id), columns...)); diff != "" {
					t.Errorf("%s, %s: columns (-intake +repair):\n%s", name, what, diff)
				}
				if diff := cmp.Diff(before[name], history(t, s, id)); diff != "" {
					t.Errorf("%s, %s: history (-before +after):\n%s", name, what, diff)
				}
			}
		}
		if found := check(t, s, false); len(found) != 0 {
			t.Errorf("after: %+v", found)
		}
		// The agent of a run that is active again goes on with it.
		if l := leaseOf(t, s, ids["running"]); !l.ExpiresAt.After(noon) {
			t.Errorf("the lease of a run that was restored ended at %s", l.ExpiresAt)
		}
	})
}
