package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/calendar"
	"stint.dev/stint/internal/definition"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
	"stint.dev/stint/journal"
)

// scheduled applies a definition with schedules, and more keys.
func scheduled(t *testing.T, s *store.Store, name, keys string, schedules ...string) {
	t.Helper()
	text := "job: " + name + "\nscript: echo\n" + keys + "\nschedules:\n- {" + strings.Join(schedules, "}\n- {") + "}\n"
	if len(schedules) == 0 {
		text = "job: " + name + "\nscript: echo\n" + keys
	}
	applied(t, s, definition.Set{New: []definition.New{defined(t, text)}, By: "ada", Force: true})
}

// tick starts what is due.
func tick(t *testing.T, s *store.Store) (runs []job.Run) {
	t.Helper()
	must(t, s.TickSchedules(t.Context(), func(run job.Run) { runs = append(runs, run) }))
	return runs
}

// dueTimes lists the schedules of a job with their next times.
func dueTimes(t *testing.T, s *store.Store, name string) string {
	t.Helper()
	all, err := s.ListSchedules(t.Context(), name, "", 100)
	must(t, err)
	var out []string
	for _, one := range all {
		text := fmt.Sprintf("%d %s", one.Number, one.When)
		if one.NextAt != nil {
			text += " " + one.NextAt.Format("02T15:04:05")
		}
		if one.Paused != nil {
			text += " paused by " + one.Paused.By
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

// occurrences lists those of a job as they are stored: schedule, times, result, whether there is a run, why.
func occurrences(t *testing.T, s *store.Store, name string) string {
	t.Helper()
	rows, err := s.Reader.QueryContext(t.Context(), `SELECT number, at, last, count, result, why, run_id FROM occurrences WHERE job = $1 ORDER BY number, at`, name)
	must(t, err)
	defer rows.Close()
	var out []string
	for rows.Next() {
		var number, at, last, count int64
		var result, why string
		var run sql.NullString
		must(t, rows.Scan(&number, &at, &last, &count, &result, &why, &run))
		text := fmt.Sprintf("%d %s", number, db.FromMicros(at).Format("15:04"))
		if count > 1 {
			text += fmt.Sprintf("-%s x %d", db.FromMicros(last).Format("15:04"), count)
		}
		text += " " + result
		if run.Valid {
			found, err := s.Run(t.Context(), run.String)
			must(t, err)
			text += fmt.Sprintf(" #%d", found.Number)
			if o := found.Submitted.Occurrence; o == nil || int64(o.Schedule) != number || !o.At.Equal(db.FromMicros(at)) {
				t.Errorf("run %d is of %+v", found.Number, o)
			}
		}
		if why != "" {
			text += " (" + why + ")"
		}
		out = append(out, text)
	}
	must(t, rows.Err())
	return strings.Join(out, ", ")
}

func clockOf(s *store.Store) (set func(text string)) {
	now := noon
	s.SetClock(func() time.Time { return now })
	return func(text string) {
		at, err := time.Parse("02T15:04:05", text)
		if err != nil {
			panic(err)
		}
		now = time.Date(2026, 3, at.Day(), at.Hour(), at.Minute(), at.Second(), 0, time.UTC)
	}
}

func schedulesOfDefinitions(t *testing.T, s *store.Store) {
	set := clockOf(s)
	set("01T12:05:00")
	scheduled(t, s, "report", "zone: Europe/Berlin", `cron: "30 2 * * *"`, `every: 90m, zone: UTC`)
	wantText(t, dueTimes(t, s, "report"), "1 30 2 * * * 02T01:30:00, 2 every 1h30m 01T13:30:00")
	_, err := s.PauseSchedule(t.Context(), "report", 1, &api.Pause{At: noon, By: "bob"})
	must(t, err)
	// A new version: one more schedule in front, one with other times, which keeps number and pause.
	scheduled(t, s, "report", "zone: Europe/Berlin", `every: 1h`, `cron: "30 3 * * *"`, `every: 90m, zone: UTC`)
	wantText(t, dueTimes(t, s, "report"), "1 every 1h 01T13:00:00 paused by bob, 3 30 3 * * * 02T02:30:00, 2 every 1h30m 01T13:30:00")
	// What was due by the old times and was not started is a row.
	set("01T13:30:10")
	scheduled(t, s, "report", "", `every: 2h`)
	wantText(t, dueTimes(t, s, "report"), "1 every 2h 01T14:00:00 paused by bob")
	wantText(t, occurrences(t, s, "report"), "1 13:00 paused (the schedule was paused), 2 13:30 missed (the schedule was deleted before it was started)")
	_, err = s.PauseSchedule(t.Context(), "report", 1, nil)
	must(t, err)
	set("01T14:00:10")
	must(t, s.DeleteDefinition(t.Context(), "report"))
	wantText(t, dueTimes(t, s, "report"), "")
	wantText(t, occurrences(t, s, "report"), "1 13:00 paused (the schedule was paused), 1 14:00 missed (the definition was deleted before it was started), "+
		"2 13:30 missed (the schedule was deleted before it was started)")
	// An expression that is never due again has no next time.
	scheduled(t, s, "never", "", `cron: "0 0 1 1 *"`)
	wantText(t, dueTimes(t, s, "never"), "1 0 0 1 1 * 01T00:00:00")
	_, err = s.PauseSchedule(t.Context(), "never", 7, nil)
	if err == nil || !strings.Contains(err.Error(), `schedule 7 of job "never"`) {
		t.Error(err)
	}
}

func scheduledStarts(t *testing.T, s *store.Store) {
	set := clockOf(s)
	set("01T12:05:00")
	scheduled(t, s, "report", "zone: Europe/Berlin\npriority: high\nparameters:\n- {name: DAY, type: date, default: yesterday}\n- {name: A, type: text}\noverlap: allow",
		`cron: "0 * * * *", parameters: {A: b}`)
	set("01T12:59:59")
	if runs := tick(t, s); len(runs) != 0 {
		t.Fatal(runs)
	}
	set("01T23:00:20") // 00:00 in Berlin
	runs := tick(t, s)
	if len(runs) != 1 {
		t.Fatal(runs)
	}
	sub := runs[0].Submitted
	if sub.Parameters["DAY"] != "2026-03-01" || sub.Parameters["A"] != "b" || sub.Priority != job.PriorityHigh || sub.By != "schedule 1" || runs[0].State != job.Queued {
		t.Errorf("%+v", sub)
	}
	wantText(t, dueTimes(t, s, "report"), "1 0 * * * * 02T00:00:00")
	o, err := s.RunOccurrence(t.Context(), runs[0].ID)
	must(t, err)
	if o == nil || o.Schedule != 1 || o.When != "0 * * * *" || o.At.Format("02T15:04 MST") != "02T00:00 CET" || o.LateSeconds != 20 || o.Result != "ran" {
		t.Errorf("%+v", o)
	}
	if none, err := s.RunOccurrence(t.Context(), "none"); none != nil || err != nil {
		t.Error(none, err)
	}
	if again := tick(t, s); len(again) != 0 {
		t.Fatal(again)
	}
	want := ""
	for hour := 13; hour <= 22; hour++ {
		want += fmt.Sprintf("1 %d:00 missed (nothing could be started then, and a later time is started), ", hour)
	}
	wantText(t, occurrences(t, s, "report"), want+"1 23:00 ran #1")
	if got := s.OccurrenceCounts(); got["ran"] != 1 || got["missed"] != 10 || got["ran_late"] != 0 {
		t.Error(got)
	}
	// Occurrences go with their run.
	within(t, s, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM runs WHERE id = $1`, runs[0].ID)
		return err
	})
	wantText(t, occurrences(t, s, "report"), strings.TrimSuffix(want, ", "))
}

// A schedule that cannot be read, and one whose definition cannot be read, hold up no other one. They are troubled items,
// and are started when they can be read again.
func schedulesThatFail(t *testing.T, s *store.Store) {
	set := clockOf(s)
	set("01T12:05:00")
	for _, name := range []string{"a-unreadable", "b-undefined", "c-good"} {
		scheduled(t, s, name, "overlap: allow", `cron: "0 * * * *"`)
	}
	change := func(statement string) {
		within(t, s, func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.ExecContext(ctx, statement)
			return err
		})
	}
	var doc, canonical string
	must(t, s.Reader.QueryRowContext(t.Context(), `SELECT doc FROM schedules WHERE job = 'a-unreadable'`).Scan(&doc))
	must(t, s.Reader.QueryRowContext(t.Context(), `SELECT canonical FROM definition_versions WHERE job = 'b-undefined'`).Scan(&canonical))
	change(`UPDATE schedules SET doc = '{' WHERE job = 'a-unreadable'`)
	change(`UPDATE definition_versions SET canonical = '{' WHERE job = 'b-undefined'`)
	for hour := range 2 {
		set(fmt.Sprintf("01T%d:00:01", 13+hour))
		if runs := tick(t, s); len(runs) != 1 || runs[0].Job != "c-good" {
			t.Fatalf("%+v", runs)
		}
	}
	wantTroubled(t, s, "schedule a-unreadable/1", "schedule b-undefined/1")
	if _, err := s.ListSchedules(t.Context(), "", "", 100); err != nil {
		t.Error(err)
	}
	change(`UPDATE schedules SET doc = '` + doc + `' WHERE job = 'a-unreadable'`)
	change(`UPDATE definition_versions SET canonical = '` + canonical + `' WHERE job = 'b-undefined'`)
	set("01T14:59:59")
	if runs := tick(t, s); len(runs) != 2 {
		t.Fatalf("%+v", runs)
	}
	wantTroubled(t, s)
	wantText(t, occurrences(t, s, "b-undefined"), "1 13:00 missed (nothing could be started then, and a later time is started), 1 14:00 ran_late #1 (started 59 m 59 s late)")
}

func scheduledOverlap(t *testing.T, s *store.Store) {
	set := clockOf(s)
	set("01T12:05:00")
	for _, overlap := range []string{"skip", "queue", "allow"} {
		scheduled(t, s, overlap, "overlap: "+overlap, `cron: "* * * * *"`)
	}
	set("01T12:07:00") // two times that are not late
	tick(t, s)
	wantText(t, occurrences(t, s, "skip"), "1 12:06 ran #1, 1 12:07 skipped (skip#1 is queued)")
	listed, err := s.Occurrences(t.Context(), "skip", noon.AddDate(-1, 0, 0), noon.AddDate(1, 0, 0), 10)
	must(t, err)
	if listed[0].InTheWay != "skip#1" || listed[1].InTheWay != "" {
		t.Errorf("%+v", listed)
	}
	wantText(t, occurrences(t, s, "queue"), "1 12:06 ran #1, 1 12:07 ran #2")
	wantText(t, occurrences(t, s, "allow"), "1 12:06 ran #1, 1 12:07 ran #2")
	var ready []string
	for _, e := range take(t, s, anyWorker(10)) {
		ready = append(ready, e.Job)
	}
	if got := strings.Count(strings.Join(ready, " "), "queue"); got != 1 {
		t.Errorf("%d of queue can start: %v", got, ready)
	}
	// Work that was started by hand counts as well.
	scheduled(t, s, "hand", "", `cron: "* * * * *"`)
	j := newJournal(t, journal.Attempt{Job: "hand"})
	j.command()
	_, data := j.take()
	one(t, s, j.id, 1, 0, data)
	set("01T12:08:00")
	tick(t, s)
	if got := occurrences(t, s, "hand"); !strings.Contains(got, "12:08 skipped (hand#1 is ") {
		t.Error(got)
	}
}

func refusedOccurrences(t *testing.T, s *store.Store) {
	set := clockOf(s)
	set("01T12:05:00")
	scheduled(t, s, "report", "parameters:\n- {name: DAY, type: date, default: today, max: 2026-03-01}", `cron: "0 0 * * *"`)
	set("02T00:00:00")
	tick(t, s)
	if got := occurrences(t, s, "report"); !strings.HasPrefix(got, "1 00:00 refused (DAY: ") {
		t.Error(got)
	}
	if got := s.OccurrenceCounts(); got["refused"] != 1 {
		t.Error(got)
	}
	wantText(t, dueTimes(t, s, "report"), "1 0 0 * * * 03T00:00:00")
}

// nextStart returns when the list of jobs says that schedules start the only job next; empty for never.
func nextStart(t *testing.T, s *store.Store) string {
	t.Helper()
	page, err := s.Jobs(t.Context(), query.Jobs{})
	must(t, err)
	if len(page.Jobs) != 1 {
		t.Fatalf("%d jobs, want 1, also before its first run", len(page.Jobs))
	}
	if page.Jobs[0].NextAt == nil {
		return ""
	}
	return page.Jobs[0].NextAt.UTC().Format("15:04")
}

func pausedSchedules(t *testing.T, s *store.Store) {
	set := clockOf(s)
	set("01T12:05:00")
	scheduled(t, s, "report", "overlap: allow", `cron: "* * * * *"`, `cron: "0 * * * *", spread: 30m`)
	wantText(t, nextStart(t, s), "12:06")
	_, err := s.PauseJob(t.Context(), "report", &api.Pause{At: noon, By: "bob"})
	must(t, err)
	wantText(t, nextStart(t, s), "")
	set("01T12:07:10")
	tick(t, s)
	// Whatever was due until the end of the pause was due while it was paused, even if nobody looked.
	set("01T12:08:10")
	_, err = s.PauseJob(t.Context(), "report", nil)
	must(t, err)
	tick(t, s)
	set("01T12:09:00")
	tick(t, s)
	wantText(t, occurrences(t, s, "report"), "1 12:06 paused (the job was paused), 1 12:07 paused (the job was paused), 1 12:08 paused (the job was paused), 1 12:09 ran #1")
	_, err = s.PauseSchedule(t.Context(), "report", 1, &api.Pause{At: noon, By: "bob", Why: "later"})
	must(t, err)
	set("01T12:10:00")
	tick(t, s)
	if got := occurrences(t, s, "report"); !strings.HasSuffix(got, "1 12:10 paused (the schedule was paused)") {
		t.Error(got)
	}
	if got := nextStart(t, s); got < "13:00" || got > "13:30" {
		t.Errorf("next start at %s, want that of the schedule that is not paused", got)
	}
}

func mergedOccurrences(t *testing.T, s *store.Store) {
	set := clockOf(s)
	set("01T00:00:00")
	scheduled(t, s, "report", "", `cron: "* * * * *"`)
	_, err := s.PauseJob(t.Context(), "report", &api.Pause{At: noon, By: "bob"})
	must(t, err)
	count := func() (rows, times int64) {
		must(t, s.Reader.QueryRowContext(t.Context(), `SELECT COUNT(*), SUM(count) FROM occurrences`).Scan(&rows, &times))
		return rows, times
	}
	minutes := int64(0)
	for _, at := range []string{"01T16:40:00", "02T09:19:00", "02T09:20:00", "02T09:21:00", "05T00:00:00", "05T16:39:00", "05T16:41:00"} {
		set(at)
		tick(t, s)
		minutes = int64(s.Now().Sub(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)) / time.Minute)
		rows, times := count()
		if times != minutes || rows > 2000 {
			t.Errorf("at %s: %d rows for %d of %d times", at, rows, times, minutes)
		}
	}
	rows, _ := count()
	if rows > 1100 {
		t.Errorf("%d rows", rows)
	}
	// Those that are one row are counted on each of its days.
	p := calendar.Period{Zone: time.UTC, First: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), Days: 6}
	counted, err := s.CountOccurrences(t.Context(), "report", p.From(), p.To())
	must(t, err)
	for i, day := range calendar.New(p, counted, nil, nil, 0).Days {
		want := int64(1440)
		if i == 0 {
			want-- // the schedule began at 00:00
		} else if i == 4 {
			want = 1002
		}
		if i < 5 && (len(day.Counts) != 1 || day.Counts[0].Count != want) || i == 5 && len(day.Counts) > 0 {
			t.Errorf("%+v, want %d", day, want)
		}
	}
	// They are kept for 400 days.
	must(t, s.ExpireOccurrences(t.Context(), s.Now().AddDate(0, 0, 400)))
	if left, _ := count(); left != 1 {
		t.Errorf("%d rows are left, not that of the last minute", left)
	}
	must(t, s.ExpireOccurrences(t.Context(), s.Now().AddDate(0, 0, 400).Add(time.Second)))
	var left int64
	must(t, s.Reader.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM occurrences`).Scan(&left))
	if left != 0 {
		t.Errorf("%d rows are left", left)
	}
}

// Nine hours in which no server ran, over 540 times: each has its row, and one run is made.
func outageOfSchedules(t *testing.T, s *store.Store) {
	set := clockOf(s)
	set("01T12:00:00")
	scheduled(t, s, "latest", "overlap: allow", `cron: "* * * * *"`)
	scheduled(t, s, "none", "overlap: allow", `cron: "* * * * *", catch_up: none`)
	set("01T20:59:59")
	if runs := tick(t, s); len(runs) != 2 { // none starts what is not late
		t.Fatal(len(runs))
	}
	set("01T21:30:30")
	scheduled(t, s, "hourly", "overlap: allow", `cron: "0 * * * *", window: 1h`, `cron: "0 * * * *", window: 20m`, `cron: "0 * * * *", catch_up: none`)
	set("02T01:30:30")
	tick(t, s)
	got := occurrences(t, s, "hourly")
	for _, want := range []string{
		"1 01:00 ran_late #1 (started 30 m 30 s late)", "1 00:00 missed (nothing could be started then, and it is older than the window of 1 h)",
		"2 01:00 missed (nothing could be started then, and it is older than the window of 20 m)",
		"3 01:00 missed (nothing could be started then, and the schedule does not catch up)",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing in %s", want, got)
		}
	}
}

// In a database that was put back, what was due before is held, and what is due later is not.
func heldOccurrences(t *testing.T, s *store.Store) {
	set := clockOf(s)
	set("01T12:00:00")
	scheduled(t, s, "report", "overlap: allow", `cron: "0 * * * *"`)
	set("01T14:30:00")
	_, err := s.HoldRestored(t.Context(), "restored from noon")
	must(t, err)
	tick(t, s)
	set("01T15:00:00")
	tick(t, s)
	wantText(t, occurrences(t, s, "report"), "1 13:00 missed (nothing could be started then, and a later time is started), 1 14:00 ran_late #1 (started 30 m late), 1 15:00 ran #2")
	if got := take(t, s, anyWorker(10)); len(got) != 1 {
		t.Errorf("%d can start", len(got))
	}
	released, err := s.ReleaseHeld(t.Context(), "")
	must(t, err)
	if released != 1 {
		t.Error(released)
	}
}

// Later times of a schedule are not skipped because of a run that is held, once agents had time to report what goes on. With
// overlap queue they wait for it as for any other run.
func overlapWithHeldRuns(t *testing.T, s *store.Store) {
	set := clockOf(s)
	set("01T12:00:00")
	scheduled(t, s, "skip", "", `cron: "0 * * * *"`, `cron: "0 * * * *"`, `cron: "31 14 * * *"`)
	scheduled(t, s, "queue", "overlap: queue", `cron: "0 * * * *"`)
	set("01T14:30:30")
	_, err := s.HoldRestored(t.Context(), "restored from noon")
	must(t, err)
	tick(t, s)
	set("01T14:31:00") // it may go on
	tick(t, s)
	set("01T15:00:00")
	tick(t, s)
	const missed = "13:00 missed (nothing could be started then, and a later time is started)"
	wantText(t, occurrences(t, s, "skip"), "1 "+missed+", 1 14:00 ran_late #1 (started 30 m 30 s late), 1 15:00 ran #2, "+
		"2 "+missed+", 2 14:00 skipped (skip#1 is held: restored from noon), 2 15:00 skipped (skip#2 is queued), 3 14:31 skipped (skip#1 is held: restored from noon)")
	wantText(t, occurrences(t, s, "queue"), "1 "+missed+", 1 14:00 ran_late #1 (started 30 m 30 s late), 1 15:00 ran #2")
	if got := take(t, s, anyWorker(10)); len(got) != 1 || got[0].Job != "skip" {
		t.Errorf("%+v can start", got)
	}
}

// A clock that was ahead and is set back starts nothing twice and leaves nothing out.
func clockSetBack(t *testing.T, s *store.Store) {
	set := clockOf(s)
	set("01T12:00:00")
	scheduled(t, s, "report", "overlap: allow", `cron: "0 * * * *"`)
	set("01T16:00:00")
	tick(t, s) // 13, 14, 15 missed, 16 ran
	set("01T13:59:00")
	scheduled(t, s, "later", "", `cron: "0 * * * *"`)
	tick(t, s)
	wantText(t, dueTimes(t, s, "report"), "1 0 * * * * 01T14:00:00")
	for _, at := range []string{"14", "15", "16", "17"} {
		set("01T" + at + ":00:00")
		tick(t, s)
	}
	wantText(t, occurrences(t, s, "report"), "1 13:00 missed (nothing could be started then, and a later time is started), 1 14:00 ran #2, 1 15:00 ran #3, 1 16:00 ran #1, 1 17:00 ran #4")
}

// A backfill makes the runs of times that have none, one after the other, and none twice.
func backfilledSchedules(t *testing.T, s *store.Store) {
	set := clockOf(s)
	set("01T00:00:00")
	scheduled(t, s, "report", "parameters:\n- {name: DAY, type: date, default: today}", `cron: "0 * * * *"`)
	_, err := s.PauseJob(t.Context(), "report", &api.Pause{At: noon, By: "bob"})
	must(t, err)
	set("03T00:30:00")
	tick(t, s)
	_, err = s.PauseJob(t.Context(), "report", nil)
	must(t, err)
	at := func(day, hour int) time.Time { return time.Date(2026, 3, day, hour, 0, 0, 0, time.UTC) }
	for _, to := range []time.Time{at(1, 23), at(2, 1), at(2, 1)} { // what has a run holds up nothing
		_, err := s.Backfill(t.Context(), "report", api.Backfill{From: at(1, 22), To: to, By: "bob"})
		must(t, err)
	}
	got := occurrences(t, s, "report")
	for _, want := range []string{
		"1 21:00 paused (the job was paused), 1 22:00 ran_late #1 (backfilled by bob), 1 23:00 ran_late #2 (backfilled by bob), 1 00:00 ran_late #3 (backfilled by bob), 1 01:00 paused",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing in %s", want, got)
		}
	}
	if n := len(take(t, s, anyWorker(10))); n != 1 {
		t.Errorf("%d runs can start at once", n)
	}
	found, err := s.FindRun(t.Context(), reference(t, "report#2"))
	must(t, err)
	second, err := s.Run(t.Context(), found)
	must(t, err)
	if second.Submitted.Parameters["DAY"] != "2026-03-01" || second.Submitted.By != "bob" {
		t.Errorf("%+v", second.Submitted)
	}
	// Times that are several in one row are taken out of it.
	_, err = s.PauseJob(t.Context(), "report", &api.Pause{At: noon, By: "bob"})
	must(t, err)
	now := at(3, 0).AddDate(0, 0, 100)
	s.SetClock(func() time.Time { return now })
	tick(t, s)
	count := func() (n int64) {
		must(t, s.Reader.QueryRowContext(t.Context(), `SELECT SUM(count) FROM occurrences`).Scan(&n))
		return n
	}
	before := count()
	for _, from := range []time.Time{at(3, 1), at(3, 5), at(4, 0)} { // the first one, and two within
		_, err = s.Backfill(t.Context(), "report", api.Backfill{From: from, To: from.Add(time.Hour), By: "bob"})
		must(t, err)
	}
	if after := count(); after != before {
		t.Errorf("%d times before, %d after", before, after)
	}
	_, err = s.Backfill(t.Context(), "report", api.Backfill{From: at(1, 0), To: at(1, 0).AddDate(0, 0, 90), By: "bob"})
	var invalid *job.InvalidError
	if !errors.As(err, &invalid) {
		t.Error(err)
	}
	checkRunsOfOccurrences(t, s)
}
