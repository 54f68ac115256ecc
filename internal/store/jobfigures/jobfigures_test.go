package jobfigures

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/plantest"
	"stint.dev/stint/job"
)

// fill stores n jobs with three runs each, of which the second failed and the last is active and quiet, and as many runs
// in the queue of the first job.
func fill(tb testing.TB, d *db.DB, n int) {
	tb.Helper()
	series := func(n int) string {
		if d.Dialect.Postgres {
			return fmt.Sprintf(`WITH n AS (SELECT generate_series(1, %d) AS i)`, n)
		}
		return fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)`, n)
	}
	padded := `printf('%012d', i)`
	if d.Dialect.Postgres {
		padded = `lpad(CAST(i AS TEXT), 12, '0')`
	}
	doc := `{"outcome":{"exit_code":3},"labels":{"team":"red"},"findings":[{"rule":"quiet","health":"warning"}],"command":"` + strings.Repeat("x", 2000) + `"}`
	run := func(n int, name, number, id, state, columns string) string {
		return series(n) + fmt.Sprintf(` INSERT INTO runs (id, job, number, attempt, state, health, leased, created_at, start_at, started_at, ended_at, end_known_at,
			reported_at, lease_us, expires_at, period_us, peak_memory, search, doc)
			SELECT '%s' || %s, %s, %s, %s, '', '%s' FROM n`, id, padded, name, number, fmt.Sprintf(columns, state), doc)
	}
	name := `'job' || ` + padded
	ended := `1, '%s', '', 0, 1000000, 1000000 + i, 1000000 + i, 3000000 + i, 3000000, 0, 0, 0, 0, 1000`
	plantest.Exec(tb, d,
		series(n)+` INSERT INTO jobs (name, next_number) SELECT `+name+`, 4 FROM n`,
		run(n, name, "1", "0199aaaa-0001-7000-8000-", "succeeded", ended),
		run(n, name, "2", "0199aaaa-0002-7000-8000-", "failed", strings.ReplaceAll(ended, "1000000 + i", "2000000 + i")),
		run(n, name, "3", "0199aaaa-0003-7000-8000-", "running", `1, '%s', 'warning', 1, 9000000, 4000000 + i, 4000000 + i, NULL, NULL, 0, 0, 0, 0, 2000`),
		run(n, `'job000000000001'`, "3 + i", "0199aaaa-0004-7000-8000-", "queued", `0, '%s', '', 0, 9000000, 5000000 + i, NULL, NULL, NULL, 0, 0, 0, 0, 0`),
		series(n)+` INSERT INTO job_due (job, uuid, every_seconds, cron, zone, grace_seconds, set_at, set_by, next_at, missed_since, missed_last, missed_times)
			SELECT `+name+`, `+name+`, 60, '', '', 60, 0, '', 9000000, 8000000, 8000000, 1 FROM n`,
	)
	plantest.Analyze(tb, d)
}

// readBesideWrites reads the figures. Meanwhile it writes: a reading must not keep appends waiting.
func readBesideWrites(t *testing.T, d *db.DB) query.JobsFigures {
	t.Helper()
	type reading struct {
		figures query.JobsFigures
		took    time.Duration
		err     error
	}
	read := make(chan reading, 1)
	began := time.Now()
	go func() {
		figures, err := New(d).JobFigures(context.WithoutCancel(t.Context()), []string{"team"})
		read <- reading{figures, time.Since(began), err}
	}()
	var slowest time.Duration
	for writes := 0; ; writes++ {
		select {
		case r := <-read:
			if r.err != nil {
				t.Fatal(r.err)
			}
			t.Logf("the figures of %d jobs took %s; meanwhile there were %d commits, the slowest took %s", len(r.figures.Jobs), r.took, writes, slowest)
			if writes < 5 || slowest > r.took/2 {
				t.Error("commits waited for the reading")
			}
			return r.figures
		default:
		}
		at := time.Now()
		err := d.Write(t.Context(), db.None, func(t *db.Tx) error {
			_, err := t.ExecContext(context.Background(), `UPDATE runs SET beat_at = $1 WHERE id = '0199aaaa-0003-7000-8000-000000000001'`, at.UnixMicro())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		slowest = max(slowest, time.Since(at))
	}
}

// More jobs than have figures: the first ones by name do, each read off indexes.
func TestManyJobs(t *testing.T) {
	for _, engine := range plantest.Engines {
		t.Run(engine, func(t *testing.T) {
			d := plantest.Open(t, engine)
			fill(t, d, maxJobs+50)
			got := readBesideWrites(t, d)
			if len(got.Jobs) != maxJobs || got.LeftOut != 50 || len(got.Findings) != maxJobs {
				t.Fatalf("%d jobs, %d left out, %d findings", len(got.Jobs), got.LeftOut, len(got.Findings))
			}
			for _, of := range []int{0, maxJobs - 1} {
				j, at := got.Jobs[of], int64(of+1)
				if j.Name != fmt.Sprintf("job%012d", of+1) || j.Active != 1 || !j.Missed || j.LastStart.UnixMicro() != 4000000+at || j.LastEnd.UnixMicro() != 3000000+at ||
					j.LastSuccess.UnixMicro() != 3000000+at || j.Duration != time.Second || j.ExitCode == nil || *j.ExitCode != 3 || j.PeakMemory != 1000 ||
					j.Ended[job.Succeeded] != 1 || j.Ended[job.Failed] != 1 || j.Labels[0] != "red" || j.Due.UnixMicro() != 9000000 || j.FailuresInARow != 1 {
					t.Errorf("%+v", j)
				}
			}
			for _, statement := range []string{lastRun("start_at, doc", hasStarted), lastRun("doc", hasEnded), lastRun("ended_at", succeeded), lastEnds} {
				plan := plantest.IndexPlan(t, d, statement, "a", "z")
				if strings.Contains(plan, "SCAN runs") || strings.Contains(plan, "SCAN r") || strings.Contains(strings.ToUpper(plan), "SORT") || strings.Contains(plan, "TEMP B-TREE") || strings.Contains(plan, "Seq Scan") {
					t.Errorf("plan of %s:\n%s", statement, plan)
				}
			}
		})
	}
}
