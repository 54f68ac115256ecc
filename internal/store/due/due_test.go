package due

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/plantest"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/internal/store/troubled"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

func at(text string) time.Time {
	t, err := time.Parse("2006-01-02 15:04:05", text)
	if err != nil {
		panic(err)
	}
	return t
}

// bench is a database with a server on it, and their clock.
type bench struct {
	*Expectations
	t    *testing.T
	now  time.Time
	runs int
}

// newBench returns a bench of an engine. The server begins to look at a time.
func newBench(t *testing.T, engine, now string) *bench {
	t.Helper()
	d := plantest.Open(t, engine)
	b := &bench{t: t, Expectations: New(d, troubled.New(d)), now: at(now)}
	d.Now = func() time.Time { return b.now }
	b.check()
	return b
}

// restart replaces the server by a new one.
func (b *bench) restart() {
	b.Expectations = New(b.DB, b.Items)
	b.check()
}

func (b *bench) check() {
	b.t.Helper()
	if _, err := b.CheckDue(b.t.Context(), b.now); err != nil {
		b.t.Fatal(err)
	}
}

// pass lets a time pass in which the server looks each second, but faster where nothing is due.
func (b *bench) pass(until string) {
	b.t.Helper()
	end := at(until)
	for b.now.Before(end) {
		step := time.Second
		names, err := b.ReadTexts(b.t.Context(), `SELECT CAST(COALESCE(MIN(check_at), 0) AS TEXT) FROM job_due WHERE check_at IS NOT NULL`)
		if err != nil {
			b.t.Fatal(err)
		}
		var next int64
		if _, err := fmt.Sscan(names[0], &next); err != nil {
			b.t.Fatal(err)
		}
		if wait := db.FromMicros(next).Sub(b.now); next == 0 || wait > end.Sub(b.now) {
			step = end.Sub(b.now)
		} else if wait > step {
			step = wait
		} else if wait < 0 { // of a row that cannot be read
			step = min(time.Minute, end.Sub(b.now))
		}
		// The server looked all the time.
		b.checked, b.now = b.now.Add(step-time.Second), b.now.Add(step)
		b.check()
	}
}

// jump sets the clock, or stops the server until a time.
func (b *bench) jump(to string) {
	b.t.Helper()
	b.now = at(to)
	b.check()
}

// start stores a run of a job that started at a time, and became known now.
func (b *bench) start(name, start string) {
	b.t.Helper()
	b.runs++
	id := fmt.Sprintf("0199aaaa-0000-7000-8000-%012d", b.runs)
	err := b.Write(b.t.Context(), db.None, func(t *db.Tx) error {
		_, err := t.ExecContext(b.t.Context(), `INSERT INTO runs (id, job, number, attempt, state, health, leased, created_at, start_at, reported_at, lease_us,
			expires_at, period_us, peak_memory, search, doc) VALUES ($1, $2, $3, 1, 'succeeded', '', 0, $4, $5, $4, 0, 0, 0, 0, '', '{}')`,
			id, name, b.runs, db.Micros(b.now), db.Micros(at(start)))
		if err != nil {
			return err
		}
		return tables.NoteStart(b.t.Context(), t, name, at(start), b.now)
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.check()
}

func (b *bench) state(name string, state api.DueState, next string) {
	b.t.Helper()
	got, err := b.JobDue(b.t.Context(), name, b.now)
	if err != nil {
		b.t.Fatal(err)
	}
	due := ""
	if got.NextDueAt != nil {
		due = got.NextDueAt.Format("2006-01-02 15:04:05")
	}
	if got.State != state || due != next {
		b.t.Errorf("at %s: %s, next due %q; want %s, %q", b.now.Format(time.DateTime), got.State, due, state, next)
	}
}

// notices checks the notifications that were made since the last call.
func (b *bench) notices(want ...string) {
	b.t.Helper()
	got, err := b.ReadTexts(b.t.Context(), `SELECT what || ' ' || ends || ' ' || severity || ': ' || message FROM outbox ORDER BY id`)
	if err != nil {
		b.t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" && len(want)+len(got) > 0 {
		b.t.Errorf("notifications (-want +got):\n%s", diff)
	}
	plantest.Exec(b.t, b.DB, `DELETE FROM outbox`)
}

// missed checks the due times that were missed, the last first.
func (b *bench) missed(name string, want ...string) {
	b.t.Helper()
	out, err := b.JobDue(b.t.Context(), name, b.now)
	if err != nil {
		b.t.Fatal(err)
	}
	var got []string
	for _, m := range out.Missed {
		line := m.DueAt.Format("01-02 15:04")
		if m.Times > 1 {
			line += fmt.Sprintf(" %d times", m.Times)
		}
		if m.StartedAt != nil {
			line += " started " + m.StartedAt.Format("01-02 15:04")
		}
		got = append(got, line)
	}
	if diff := cmp.Diff(want, got); diff != "" && len(want)+len(got) > 0 {
		b.t.Errorf("missed (-want +got):\n%s", diff)
	}
}

func (b *bench) set(name string, e job.Expectation) {
	b.t.Helper()
	if err := b.SetDue(b.t.Context(), name, e, "ada", b.now); err != nil {
		b.t.Fatal(err)
	}
}

var daily = job.Expectation{Cron: "0 3 * * *", Zone: "UTC", GraceSeconds: 3600}

// onBoth runs a test on both databases, from the evening before the first day on.
func onBoth(t *testing.T, do func(*bench)) {
	for _, engine := range plantest.Engines {
		t.Run(engine, func(t *testing.T) {
			b := newBench(t, engine, "2026-01-01 12:00:00")
			b.t = t
			do(b)
		})
	}
}

func TestAMissedRunIsReportedOnceAndHealed(t *testing.T) {
	onBoth(t, func(b *bench) {
		b.set("backup", daily)
		b.state("backup", api.DueNew, "")
		b.pass("2026-01-03 12:00:00") // no run yet: nothing is due
		b.state("backup", api.DueNew, "")
		b.start("backup", "2026-01-03 12:00:00")
		b.state("backup", api.DueOK, "2026-01-04 03:00:00")
		b.pass("2026-01-04 03:00:02")
		b.state("backup", api.DueNow, "2026-01-04 03:00:00")
		b.start("backup", "2026-01-04 03:00:02")
		b.state("backup", api.DueOK, "2026-01-05 03:00:00")
		b.pass("2026-01-05 03:59:59")
		b.state("backup", api.DueNow, "2026-01-05 03:00:00")
		b.notices()
		b.pass("2026-01-05 04:00:00")
		b.state("backup", api.DueMissed, "2026-01-06 03:00:00")
		b.notices("missed  critical: backup was due at 2026-01-05 03:00:00 UTC and has not started. Its last run started at 2026-01-04 03:00:02 UTC.")
		b.pass("2026-01-07 12:00:00") // two more: nobody is notified again
		b.notices()
		b.missed("backup", "01-07 03:00", "01-06 03:00", "01-05 03:00")
		b.start("backup", "2026-01-07 12:00:00")
		b.state("backup", api.DueOK, "2026-01-08 03:00:00")
		b.notices("recovered missed critical: backup started at 2026-01-07 12:00:00 UTC; it had been due 3 times since 2026-01-05 03:00:00 UTC.")
		b.missed("backup", "01-07 03:00 started 01-07 12:00", "01-06 03:00", "01-05 03:00")
	})
}

// A policy says how severe it is that a job is missed, and whether people are notified.
func TestPoliciesOfMissedJobs(t *testing.T) {
	onBoth(t, func(b *bench) {
		t := b.t
		for name, actions := range map[string]string{"mute": `{"missed":{"notify":false}}`, "mild": `{"missed":{"notify":true,"severity":"warning"}}`, "other": `{"failed":{"notify":false,"retry":9}}`, "unreadable": `{`} {
			b.set(name, daily)
			b.start(name, "2026-01-01 12:00:00")
			plantest.Exec(t, b.DB, `INSERT INTO job_policies (job, yaml, actions, set_at, set_by) VALUES ('`+name+`', '', '`+actions+`', 0, '')`)
		}
		b.pass("2026-01-02 12:00:00")
		last := " was due at 2026-01-02 03:00:00 UTC and has not started. Its last run started at 2026-01-01 12:00:00 UTC."
		b.notices("missed  warning: mild"+last, "missed  critical: other"+last, "missed  critical: unreadable"+last)
		for _, name := range []string{"mute", "mild", "other"} {
			b.state(name, api.DueMissed, "2026-01-03 03:00:00")
			b.start(name, "2026-01-02 12:00:00")
		}
		b.notices("recovered missed warning: mild started at 2026-01-02 12:00:00 UTC; it was due at 2026-01-02 03:00:00 UTC.",
			"recovered missed critical: other started at 2026-01-02 12:00:00 UTC; it was due at 2026-01-02 03:00:00 UTC.")
		// A job whose runs were deleted has none to try again.
		plantest.Exec(t, b.DB, `DELETE FROM runs`)
		b.pass("2026-01-03 12:00:00")
		if kinds, err := b.ReadTexts(t.Context(), `SELECT DISTINCT kind FROM outbox`); err != nil || len(kinds) != 1 || kinds[0] != "notify" {
			t.Error(kinds, err)
		}
	})
}

// A journal that arrives days later counts for the due time in whose slot it started, and for no other.
func TestALateJournalHealsItsOwnDueTime(t *testing.T) {
	onBoth(t, func(b *bench) {
		b.set("backup", daily)
		b.start("backup", "2026-01-01 12:00:00")
		b.pass("2026-01-04 12:00:00")
		b.missed("backup", "01-04 03:00", "01-03 03:00", "01-02 03:00")
		b.notices("missed  critical: backup was due at 2026-01-02 03:00:00 UTC and has not started. Its last run started at 2026-01-01 12:00:00 UTC.")
		b.start("backup", "2026-01-03 03:00:01") // delivered a day later
		b.missed("backup", "01-04 03:00", "01-03 03:00 started 01-03 03:00", "01-02 03:00")
		b.state("backup", api.DueMissed, "2026-01-05 03:00:00") // today's is still missing
		b.notices()
		b.start("backup", "2026-01-04 02:59:58") // its clock was ahead
		b.missed("backup", "01-04 03:00 started 01-04 02:59", "01-03 03:00 started 01-03 03:00", "01-02 03:00")
		b.state("backup", api.DueOK, "2026-01-05 03:00:00")
		b.notices("recovered missed critical: backup started at 2026-01-04 02:59:58 UTC; it had been due 3 times since 2026-01-02 03:00:00 UTC.")
	})
}

func TestAnIntervalCountsFromTheLastStart(t *testing.T) {
	onBoth(t, func(b *bench) {
		b.set("sync", job.Expectation{EverySeconds: 3600, GraceSeconds: 600})
		b.start("sync", "2026-01-01 12:00:00")
		b.state("sync", api.DueOK, "2026-01-01 13:00:00")
		b.pass("2026-01-01 12:30:00")
		b.start("sync", "2026-01-01 12:30:00")
		b.state("sync", api.DueOK, "2026-01-01 13:30:00")
		b.pass("2026-01-01 14:45:00")
		b.state("sync", api.DueMissed, "2026-01-01 15:30:00")
		b.missed("sync", "01-01 14:30", "01-01 13:30")
		b.notices("missed  critical: sync was due at 2026-01-01 13:30:00 UTC and has not started. Its last run started at 2026-01-01 12:30:00 UTC.")
		b.pass("2026-01-01 14:50:00")
		b.start("sync", "2026-01-01 14:50:00")
		b.state("sync", api.DueOK, "2026-01-01 15:50:00")
		b.notices("recovered missed critical: sync started at 2026-01-01 14:50:00 UTC; it had been due 2 times since 2026-01-01 13:30:00 UTC.")
		days, err := b.JobDue(b.t.Context(), "sync", b.now)
		if err != nil || len(days.Days) != 1 || days.Days[0].Day != "2026-01-01" || days.Days[0].Kept != 2 {
			b.t.Errorf("days %+v, %v", days.Days, err)
		}
	})
}

// While no server ran, starts were unnoticed: nothing is missed before the server has been back for the grace.
func TestTheServerWasDown(t *testing.T) {
	onBoth(t, func(b *bench) {
		b.set("backup", daily)
		b.start("backup", "2026-01-01 12:00:00")
		b.pass("2026-01-02 02:00:00")
		b.now = at("2026-01-04 06:00:00")
		b.restart()
		b.state("backup", api.DueNow, "2026-01-02 03:00:00")
		b.pass("2026-01-04 06:30:00")
		b.start("backup", "2026-01-02 03:00:01") // the journals of the days arrive, the last one first or not
		b.start("backup", "2026-01-04 03:00:01")
		b.pass("2026-01-04 06:59:00")
		b.notices()
		b.start("backup", "2026-01-03 03:00:01")
		b.pass("2026-01-04 12:00:00")
		b.notices()
		b.missed("backup")
		b.state("backup", api.DueOK, "2026-01-05 03:00:00")
	})
}

// A server that is redeployed more often than a grace lasts reports a job that did not run.
func TestRedeploysDoNotHideAMissedRun(t *testing.T) {
	onBoth(t, func(b *bench) {
		b.set("backup", daily)
		b.start("backup", "2026-01-01 12:00:00")
		b.pass("2026-01-02 02:50:00")
		for b.now.Before(at("2026-01-02 07:00:00")) {
			b.restart()
			b.pass(b.now.Add(30 * time.Minute).Format(time.DateTime))
			b.now = b.now.Add(20 * time.Second)
		}
		out, err := b.JobDue(b.t.Context(), "backup", b.now)
		if err != nil || len(out.Missed) != 1 {
			b.t.Fatalf("missed %+v, %v", out.Missed, err)
		}
		if at := out.Missed[0].MissedAt.Format(time.TimeOnly); at < "05:00:00" || at > "05:05:00" {
			b.t.Errorf("missed at %s, want when the server has looked for two hours", at)
		}
	})
}

// A server that is deployed anew each day, shortly before the due time or within the grace, reports each day.
func TestDailyRedeploysDoNotHideAMissedRun(t *testing.T) {
	for _, deploy := range []string{"02:59:50", "03:30:00", "03:59:59"} {
		t.Run(deploy, func(t *testing.T) {
			onBoth(t, func(b *bench) {
				b.set("backup", daily)
				b.start("backup", "2026-01-01 12:00:00")
				for day := 2; day <= 5; day++ {
					date := fmt.Sprintf("2026-01-%02d ", day)
					b.pass(date + deploy)
					b.now = b.now.Add(30 * time.Second) // while no server runs
					b.restart()
					b.pass(date + "06:00:00")
					b.state("backup", api.DueMissed, fmt.Sprintf("2026-01-%02d 03:00:00", day+1))
				}
				b.missed("backup", "01-05 03:00", "01-04 03:00", "01-03 03:00", "01-02 03:00")
				b.notices("missed  critical: backup was due at 2026-01-02 03:00:00 UTC and has not started. Its last run started at 2026-01-01 12:00:00 UTC.")
			})
		})
	}
}

func TestAClockThatJumpsRaisesNoAlarm(t *testing.T) {
	onBoth(t, func(b *bench) {
		b.set("backup", daily)
		b.set("sync", job.Expectation{EverySeconds: 86400, GraceSeconds: 3600})
		b.start("backup", "2026-01-01 12:00:00")
		b.start("sync", "2026-01-01 12:00:00")
		b.jump("2026-03-01 12:00:00")
		b.pass("2026-03-01 12:30:00")
		b.start("backup", "2026-03-01 12:30:00") // with the wrong clock
		b.start("sync", "2026-03-01 12:30:00")
		b.jump("2026-01-01 12:30:30")
		b.notices()
		b.state("backup", api.DueOK, "2026-01-02 03:00:00")
		b.state("sync", api.DueOK, "2026-01-02 12:30:30")
		b.pass("2026-01-02 05:00:00") // and what is due is noticed all the same
		b.state("backup", api.DueMissed, "2026-01-03 03:00:00")
	})
}

func TestPausedAndDeleted(t *testing.T) {
	onBoth(t, func(b *bench) {
		ctx := b.t.Context()
		b.set("backup", daily)
		b.start("backup", "2026-01-01 12:00:00")
		b.pass("2026-01-02 05:00:00")
		b.notices("missed  critical: backup was due at 2026-01-02 03:00:00 UTC and has not started. Its last run started at 2026-01-01 12:00:00 UTC.")
		if err := b.PauseDue(ctx, "backup", true, b.now); err != nil {
			b.t.Fatal(err)
		}
		b.set("backup", job.Expectation{Cron: "0 4 * * *", Zone: "UTC", GraceSeconds: 3600}) // does not resume it
		b.state("backup", api.DuePaused, "")
		b.pass("2026-01-05 12:00:00")
		b.start("backup", "2026-01-05 12:00:00")
		b.state("backup", api.DuePaused, "")
		if err := b.PauseDue(ctx, "backup", false, b.now); err != nil {
			b.t.Fatal(err)
		}
		b.state("backup", api.DueOK, "2026-01-06 04:00:00")
		b.missed("backup", "01-02 03:00")
		b.notices()
		if err := b.DeleteDue(ctx, "backup"); err != nil {
			b.t.Fatal(err)
		}
		var missing *query.NotFoundError
		for _, err := range []error{b.DeleteDue(ctx, "backup"), b.PauseDue(ctx, "backup", true, b.now), b.PauseDue(ctx, "\x00", true, b.now)} {
			if !errors.As(err, &missing) {
				b.t.Errorf("error %v", err)
			}
		}
		if left, err := b.ReadTexts(ctx, `SELECT job FROM job_due_missed_times UNION ALL SELECT job FROM job_due_days`); err != nil || len(left) > 0 {
			b.t.Errorf("left %v, %v", left, err)
		}
	})
}

// A run that has not ended since the last due time is no missed one.
func TestARunThatIsActiveCounts(t *testing.T) {
	onBoth(t, func(b *bench) {
		b.set("backup", daily)
		b.start("backup", "2026-01-01 12:00:00")
		plantest.Exec(b.t, b.DB, `UPDATE runs SET state = 'running'`)
		b.pass("2026-01-02 05:00:00")
		b.state("backup", api.DueOK, "2026-01-03 03:00:00")
		plantest.Exec(b.t, b.DB, `UPDATE runs SET state = 'lost'`)
		b.pass("2026-01-03 05:00:00")
		b.state("backup", api.DueMissed, "2026-01-04 03:00:00")
	})
}

// A long absence does not fill the table.
func TestManyMissedTimesShareARow(t *testing.T) {
	onBoth(t, func(b *bench) {
		b.set("pulse", job.Expectation{Cron: "* * * * *", GraceSeconds: 60})
		b.start("pulse", "2026-01-01 12:00:00")
		b.jump("2026-01-03 12:00:30")
		b.pass("2026-01-03 13:00:00")
		rows, err := b.ReadTexts(b.t.Context(), `SELECT CAST(COUNT(*) AS TEXT) || ' rows, ' || CAST(SUM(times) AS TEXT) || ' times' FROM job_due_missed_times`)
		if want := fmt.Sprintf("%d rows, %d times", maxSingle+1, 2*24*60+59); err != nil || rows[0] != want {
			b.t.Errorf("%v, %v; want %s", rows, err, want)
		}
	})
}

// Of several servers that look at the same moment, one makes the notification.
func TestTwoServersMakeOneNotification(t *testing.T) {
	onBoth(t, func(b *bench) {
		for n := range 20 {
			name := fmt.Sprintf("backup-%d", n)
			b.set(name, daily)
			b.start(name, "2026-01-01 12:00:00")
		}
		b.pass("2026-01-02 03:59:59")
		b.now = b.now.Add(time.Second)
		other := New(b.DB, b.Items)
		other.back.Store(b.back.Load())
		other.checked, other.stored = b.checked, b.stored
		var both sync.WaitGroup
		for _, server := range []*Expectations{b.Expectations, other} {
			both.Go(func() {
				if _, err := server.CheckDue(context.Background(), b.now); err != nil {
					b.t.Error(err)
				}
			})
		}
		both.Wait()
		rows, err := b.ReadTexts(b.t.Context(), `SELECT message FROM outbox`)
		if err != nil || len(rows) != 20 {
			b.t.Errorf("%d notifications, %v", len(rows), err)
		}
	})
}

// A job whose row cannot be read does not keep others from being looked at.
func TestADamagedRowHoldsUpNoOther(t *testing.T) {
	onBoth(t, func(b *bench) {
		for _, name := range []string{"a", "b", "c"} {
			b.set(name, daily)
			b.start(name, "2026-01-01 12:00:00")
		}
		plantest.Exec(b.t, b.DB, `UPDATE job_due SET cron = 'nonsense' WHERE job = 'b'`)
		b.pass("2026-01-02 04:00:00")
		b.state("a", api.DueMissed, "2026-01-03 03:00:00")
		b.state("c", api.DueMissed, "2026-01-03 03:00:00")
	})
}

func TestOldDueTimesAreDeleted(t *testing.T) {
	onBoth(t, func(b *bench) {
		b.set("backup", daily)
		b.start("backup", "2026-01-01 12:00:00")
		b.pass("2026-01-02 02:59:59")
		b.start("backup", "2026-01-02 02:59:59")
		b.pass("2026-01-03 05:00:00")
		for _, step := range []struct {
			after time.Duration
			left  int
		}{{keepFor - 24*time.Hour, 2}, {keepFor + 48*time.Hour, 0}} {
			if err := b.tidy(b.t.Context(), b.now.Add(step.after)); err != nil {
				b.t.Fatal(err)
			}
			left, err := b.ReadTexts(b.t.Context(), `SELECT job FROM job_due_missed_times UNION ALL SELECT job FROM job_due_days`)
			if err != nil || len(left) != step.left {
				b.t.Errorf("after %s: left %v, %v", step.after, left, err)
			}
		}
	})
}

// Ten thousand expectations cost a look at an index each second.
func TestWhatIsDueIsFoundByAnIndex(t *testing.T) {
	for _, engine := range plantest.Engines {
		t.Run(engine, func(t *testing.T) {
			d := plantest.Open(t, engine)
			for _, c := range []struct {
				query, table, condition string
				args                    []any
			}{
				{dueQuery, "job_due", "check_at", []any{1, 1}},
				{deleteMissed, "job_due_missed_times", "due_at", []any{1, 1}},
				{deleteDays, "job_due_days", "day", []any{1, 1}},
				{lastStartQuery, "runs", "start_at", []any{"a", 1, 2}},
				{activeQuery, "runs", "job", []any{"a"}},
			} {
				plan := plantest.IndexPlan(t, d, c.query, c.args...)
				search := "SEARCH " + c.table + " USING"
				if engine == "PostgreSQL" {
					search = "Index Cond: ("
				}
				if !strings.Contains(plan, search) || !strings.Contains(plan, c.condition) || strings.Contains(plan, "Seq Scan on "+c.table) ||
					strings.Contains(plan, "SCAN "+c.table+"\n") || strings.Contains(plan, "USE TEMP B-TREE") {
					t.Errorf("%s:\n%s", c.query, plan)
				}
			}
		})
	}
}

func TestDueTimesOfACalendar(t *testing.T) {
	onBoth(t, func(b *bench) {
		b.set("backup", daily)
		b.start("backup", "2026-01-01 12:00:00")
		b.pass("2026-01-02 03:00:02")
		b.start("backup", "2026-01-02 03:00:02")
		b.pass("2026-01-04 12:00:00")
		b.start("backup", "2026-01-04 12:00:00") // 9 hours late
		plantest.Exec(b.t, b.DB, `UPDATE runs SET state = 'running'`)
		b.pass("2026-01-05 12:00:00") // which counts, because a run is active
		times := func(name string) string {
			all, err := b.DueTimes(b.t.Context(), name, at("2026-01-02 00:00:00"), at("2026-01-07 00:00:00"), b.now)
			if err != nil {
				b.t.Fatal(err)
			}
			var out []string
			for _, one := range all {
				out = append(out, fmt.Sprintf("%s %s #%d", one.At.Format("02T15"), one.Result, one.Number))
			}
			return strings.Join(out, ", ")
		}
		if got, want := times("backup"), "02T03 ran #2, 03T03 missed #0, 04T03 missed #3, 05T03 ran #0, 06T03 planned #0"; got != want {
			b.t.Errorf("%s, want %s", got, want)
		}
		if got := times("none"); got != "" {
			b.t.Error(got)
		}
	})
}
