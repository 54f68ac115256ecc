package store_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/groups"
	"stint.dev/stint/internal/store/queue"
	"stint.dev/stint/internal/store/recovery"
	"stint.dev/stint/job"
)

// checkedQueue fails the test if rows of the queue contradict each other.
func checkedQueue(t *testing.T, s *store.Store, when string) {
	t.Helper()
	wrong, err := s.CheckQueue(t.Context())
	if err != nil || len(wrong) > 0 {
		t.Fatalf("%s: %+v, %v", when, wrong, err)
	}
}

// Whatever is done with runs of the queue, and in whatever order, its rows agree, no group has more places than
// its limit at a time, and at the end every run has been taken once, or canceled.
func randomQueue(t *testing.T, s *store.Store) {
	now := noon
	s.SetClock(func() time.Time { return now })
	random := rand.New(rand.NewPCG(15, 29))
	setGroup(t, s, 2)
	held, done, all := map[string]bool{}, map[string]int{}, []string{}
	finish := func(id string) {
		within(t, s, func(ctx context.Context, tx *db.Tx) error {
			if err := queue.Leave(ctx, tx, id); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `UPDATE runs SET state = 'succeeded' WHERE id = $1`, id); err != nil {
				return err
			}
			return errors.Join(groups.FreePlace(ctx, tx, id), queue.Ended(ctx, tx, id)) // as an end does
		})
		delete(held, id)
		done[id]++
	}
	for step := range 150 {
		switch random.IntN(6) {
		case 0, 1:
			all = append(all, submitCommand(t, s, fmt.Sprint("job", random.IntN(3)), func(r *job.SubmitRequest) {
				r.Group, r.DelayMS = []string{"", "db"}[random.IntN(2)], int64(random.IntN(2)*5000)
				if len(all) > 0 && random.IntN(3) == 0 {
					if id := all[random.IntN(len(all))]; done[id] == 0 {
						r.After = []job.Dependency{{Run: id, When: "ended"}}
					}
				}
			}))
		case 2:
			for _, e := range take(t, s, anyWorker(1+random.IntN(2))) {
				if held[e.Run] || done[e.Run] > 0 {
					t.Fatalf("run %s is taken twice", e.Run)
				}
				held[e.Run] = true
			}
		case 3:
			for id := range held {
				if random.IntN(2) == 0 {
					with(t, s, queue.Return, id)
					delete(held, id)
				} else {
					finish(id)
				}
				break
			}
		case 4:
			if len(all) > 0 {
				id := all[random.IntN(len(all))]
				if done[id] == 0 && !held[id] {
					if _, _, err := s.RequestCancel(t.Context(), id, job.Cancel{By: "ada", At: now}); err != nil {
						t.Fatal(err)
					}
					done[id]++
				}
			}
		case 5:
			now = now.Add(3 * time.Second)
			matchRound(t, s, random.IntN(2) == 0)
		}
		checkedQueue(t, s, fmt.Sprint("step ", step))
		if n, err := s.CountRows(t.Context(), "queue_places"); err != nil || n > 2 {
			t.Fatalf("step %d: %d places, %v", step, n, err)
		}
	}
	for range len(all) + 10 { // each round ends at least one run, if any can start
		now = now.Add(10 * time.Second)
		matchRound(t, s, true)
		for _, e := range take(t, s, anyWorker(10)) {
			held[e.Run] = true
		}
		for id := range held {
			finish(id)
		}
	}
	for _, id := range all {
		if done[id] != 1 {
			t.Errorf("run %s ended %d times", id, done[id])
		}
	}
	checkedQueue(t, s, "at the end")
}

// Contradictions are found.
func contradictionsInTheQueue(t *testing.T, s *store.Store) {
	ids := []string{submitCommand(t, s, "a", nil), submitCommand(t, s, "b", nil), submitCommand(t, s, "c", nil)}
	checkedQueue(t, s, "at first")
	must(t, s.Exec(t.Context(), `UPDATE queue_entries SET gate = 'held' WHERE run_id = '`+ids[0]+`'`))
	must(t, s.Exec(t.Context(), `DELETE FROM queue_entries WHERE run_id = '`+ids[1]+`'`))
	must(t, s.Exec(t.Context(), `UPDATE runs SET state = 'failed' WHERE id = '`+ids[2]+`'`))
	must(t, s.Exec(t.Context(), `INSERT INTO queue_places (group_name, run_id, taken_at) VALUES ('db', '`+ids[2]+`', 0)`))
	wrong, err := s.CheckQueue(t.Context())
	if err != nil || len(wrong) != 4 {
		t.Errorf("%+v, %v", wrong, err)
	}
}

// The places of a group are corrected, and nothing else.
func repairedPlaces(t *testing.T, s *store.Store) {
	setGroup(t, s, 3)
	grouped := func(r *job.SubmitRequest) { r.Group = "db" }
	ids := []string{submitCommand(t, s, "a", grouped), submitCommand(t, s, "b", grouped), submitCommand(t, s, "c", grouped), submitCommand(t, s, "d", nil)}
	must(t, s.Match(t.Context()))
	wantText(t, namesOf(take(t, s, anyWorker(2))), "a b")
	must(t, s.Exec(t.Context(), `DELETE FROM queue_places WHERE run_id = '`+ids[0]+`'`))                                                            // missing
	must(t, s.Exec(t.Context(), `UPDATE queue_places SET until = 0 WHERE run_id = '`+ids[1]+`'`))                                                   // as if it was lost
	must(t, s.Exec(t.Context(), `INSERT INTO queue_places (group_name, run_id, taken_at) VALUES ('db', '`+ids[2]+`', 0), ('db', '`+ids[3]+`', 0)`)) // too many
	check := func(repair bool) (found, repaired map[string]string) {
		found, repaired = map[string]string{}, map[string]string{}
		_, err := recovery.Check(t.Context(), s, repair, func(f recovery.Finding) { found[f.Run], repaired[f.Run] = f.What, f.Repaired })
		must(t, err)
		return found, repaired
	}
	if found, _ := check(false); len(found) != 4 {
		t.Fatalf("found %v", found)
	}
	want := map[string]string{ids[0]: "the place was taken", ids[1]: "the place was taken", ids[2]: "the place was freed", ids[3]: "the place was freed"}
	if _, repaired := check(true); !maps.Equal(repaired, want) {
		t.Errorf("repaired %v", repaired)
	}
	checkedQueue(t, s, "after the repair")
	groups, err := s.Groups(t.Context())
	if must(t, err); groups[0].Active != 2 {
		t.Errorf("%+v", groups)
	}
}
