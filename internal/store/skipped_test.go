package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/internal/query"
	rules "stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
	"stint.dev/stint/journal"
)

// found lists the findings of a job: rule, severity and sentence.
func found(t *testing.T, s *store.Store, name string) string {
	t.Helper()
	sum, err := s.Job(t.Context(), name)
	must(t, err)
	var out []string
	for _, f := range sum.Findings {
		if f.Job != name || f.Since.IsZero() || len(f.SentenceTimes) == 0 {
			t.Errorf("%+v", f)
		}
		out = append(out, fmt.Sprintf("%s %s: %s", f.Rule, f.Health, f.Evidence))
	}
	return strings.Join(out, ", ")
}

// notified lists the notifications, the first one first: event, what ends, severity, and of which job.
func notified(t *testing.T, s *store.Store) string {
	t.Helper()
	all, err := s.Actions(t.Context(), query.Actions{Limit: 100})
	must(t, err)
	var out []string
	for i := len(all) - 1; i >= 0; i-- {
		a := all[i]
		of := a.Job
		if a.Run != "" {
			of = a.RunName
		}
		out = append(out, strings.Join(strings.Fields(fmt.Sprintf("%s %s %s %s", a.What, a.Ends, a.Severity, of)), " "))
	}
	return strings.Join(out, ", ")
}

// setPolicy sets the policy of a job.
func setPolicy(t *testing.T, s *store.Store, name, text string) {
	t.Helper()
	p, err := policy.Parse([]byte(text))
	must(t, err)
	actions, err := json.Marshal(p.Actions)
	must(t, err)
	must(t, s.SetPolicy(t.Context(), policy.Stored{Job: name, YAML: text, SetAt: s.Now(), SetBy: "ada"}, actions))
}

// startByHand stores a run of a job that starts now, and ends it if end is set.
func startByHand(t *testing.T, s *store.Store, name string, end bool) {
	t.Helper()
	j := newJournal(t, journal.Attempt{Job: name})
	j.command()
	if end {
		j.end(0)
	}
	_, data := j.take()
	try(t, s, index.Append{Run: j.id, Attempt: 1, Data: data, At: s.Now()})
}

func skippedSchedules(t *testing.T, s *store.Store) {
	set := clockOf(s)
	set("01T12:05:00")
	scheduled(t, s, "report", "", `cron: "0 * * * *"`)
	startByHand(t, s, "report", false)
	set("01T13:00:00")
	tick(t, s)
	wantText(t, found(t, s, "report"), "")
	set("01T14:00:01")
	tick(t, s)
	const sentence = "Schedule 1 (0 * * * *) did not start report 2 times in a row, the last at 2026-03-01 14:00:00 UTC: skipped: report#1 is running."
	wantText(t, found(t, s, "report"), "skipped warning: "+sentence)
	sum, err := s.Job(t.Context(), "report")
	must(t, err)
	if f := sum.Findings[0]; f.NextCode != job.NextDue || !f.NextAt.Equal(s.Now().Truncate(time.Hour).Add(time.Hour)) || f.Facts["run"] != sum.LastRun.ID || !f.Since.Equal(s.Now()) {
		t.Errorf("%+v", f)
	}
	view, err := s.Overview(t.Context(), query.Overview{Now: s.Now(), Limit: 10})
	must(t, err)
	if len(view.Findings) != 1 || view.Findings[0].Job != "report" || view.Findings[0].Evidence != sentence {
		t.Errorf("%+v", view.Findings)
	}
	// It goes on: nobody is notified again.
	set("01T15:00:01")
	tick(t, s)
	if got := found(t, s, "report"); !strings.Contains(got, " 3 times in a row, the last at 2026-03-01 15:00:00 UTC") {
		t.Error(got)
	}
	wantText(t, notified(t, s), "skipped warning report#1")
	at := func(text string) time.Time { set(text); return s.Now() }
	for _, c := range []struct {
		since, until string
		want         int
	}{{"01T13:00:00", "01T14:00:01", 0}, {"01T14:00:01", "01T14:00:02", 1}, {"01T14:00:02", "01T16:00:00", 0}} {
		all, err := s.Actions(t.Context(), query.Actions{Since: at(c.since), Until: at(c.until), Limit: 10})
		if err != nil || len(all) != c.want {
			t.Errorf("from %s to %s: %d actions, %v; want %d", c.since, c.until, len(all), err, c.want)
		}
	}
	// A start by hand ends it, without a schedule that is due.
	set("01T15:10:00")
	startByHand(t, s, "report", true)
	tick(t, s)
	wantText(t, found(t, s, "report"), "")
	wantText(t, notified(t, s), "skipped warning report#1, recovered skipped warning report#2")
	set("01T16:00:01")
	tick(t, s)
	wantText(t, found(t, s, "report"), "")
}

// An occurrence that becomes a run ends the finding; what is made up for after an outage makes none; times of a pause
// do not count, and a pause ends the finding.
func skippedAndStarted(t *testing.T, s *store.Store) {
	set := clockOf(s)
	set("01T12:05:00")
	scheduled(t, s, "none", "", `cron: "0 * * * *", catch_up: none`)
	scheduled(t, s, "latest", "", `cron: "0 * * * *"`)
	set("01T15:30:00") // three times passed
	tick(t, s)
	wantText(t, found(t, s, "latest"), "")
	wantText(t, found(t, s, "none"), "skipped warning: Schedule 1 (0 * * * *) did not start none 3 times in a row, the last at 2026-03-01 15:00:00 UTC: "+
		"missed: nothing could be started then, and the schedule does not catch up.")
	set("01T16:00:00")
	tick(t, s)
	wantText(t, found(t, s, "none"), "")
	wantText(t, notified(t, s), "skipped warning none, recovered skipped warning none#1")

	set("01T16:10:00")
	scheduled(t, s, "paused", "", `cron: "0 * * * *"`)
	startByHand(t, s, "paused", false)
	pause := func(p *api.Pause) {
		_, err := s.PauseSchedule(t.Context(), "paused", 1, p)
		must(t, err)
	}
	set("01T17:00:00")
	tick(t, s)
	pause(&api.Pause{At: s.Now(), By: "bob"})
	set("01T18:00:00")
	tick(t, s)
	set("01T19:00:00")
	tick(t, s)
	wantText(t, found(t, s, "paused"), "")
	pause(nil)
	set("01T20:00:00")
	tick(t, s)
	if got := found(t, s, "paused"); !strings.Contains(got, " 2 times in a row") {
		t.Error(got)
	}
	before := notified(t, s)
	pause(&api.Pause{At: s.Now(), By: "bob"})
	tick(t, s)
	wantText(t, found(t, s, "paused"), "")
	wantText(t, notified(t, s), before)
}

// A policy says how many times in a row is a finding, how severe it is, and whether people are notified.
func skippedByPolicy(t *testing.T, s *store.Store) {
	set := clockOf(s)
	set("01T12:05:00")
	for _, name := range []string{"often", "off", "mute", "critical"} {
		scheduled(t, s, name, "", `cron: "0 * * * *"`)
		startByHand(t, s, name, false)
	}
	setPolicy(t, s, "often", "rules: {skipped: {times: 3}}")
	setPolicy(t, s, "off", "rules: {skipped: {on: false}}")
	setPolicy(t, s, "mute", "actions: {skipped: {notify: false}}")
	setPolicy(t, s, "critical", "actions: {skipped: {severity: critical}}")
	for _, at := range []string{"01T13:00:00", "01T14:00:00"} {
		set(at)
		tick(t, s)
	}
	for name, want := range map[string]string{"often": "", "off": "", "mute": "skipped warning", "critical": "skipped critical"} {
		if got := found(t, s, name); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%s: %s", name, got)
		}
	}
	wantText(t, notified(t, s), "skipped critical critical#1")
	set("01T15:00:00")
	tick(t, s)
	wantText(t, notified(t, s), "skipped critical critical#1, skipped warning often#1")
	// A policy applies between the times of a schedule.
	setPolicy(t, s, "often", "rules: {skipped: {on: false}}")
	setPolicy(t, s, "mute", "actions: {skipped: {severity: critical}}")
	tick(t, s)
	wantText(t, found(t, s, "often"), "")
	if got := found(t, s, "mute"); !strings.HasPrefix(got, "skipped critical") {
		t.Error(got)
	}
	wantText(t, notified(t, s), "skipped critical critical#1, skipped warning often#1, skipped critical mute#1")
}

// Of a job with several schedules a run of one of them says nothing of the others.
func skippedBesideAnother(t *testing.T, s *store.Store) {
	set := clockOf(s)
	set("01T12:05:00")
	scheduled(t, s, "report", "", `cron: "0 * * * *"`, `cron: "1 * * * *"`)
	for _, at := range []string{"01T13:00:00", "01T13:01:00", "01T14:01:00"} {
		set(at)
		tick(t, s)
	}
	const sentence = "Schedule 2 (1 * * * *) did not start report 2 times in a row, the last at 2026-03-01 14:01:00 UTC: skipped: report#1 is queued."
	wantText(t, found(t, s, "report"), "skipped warning: "+sentence)
	set("01T14:03:00")
	within(t, s, func(ctx context.Context, tx *db.Tx) error { // the run of the first schedule starts
		_, err := tx.ExecContext(ctx, `UPDATE runs SET attempt = 1, start_at = $1`, db.Micros(s.Now().Add(-time.Second)))
		return err
	})
	tick(t, s)
	wantText(t, found(t, s, "report"), "skipped warning: "+sentence)
	startByHand(t, s, "report", true)
	tick(t, s)
	wantText(t, found(t, s, "report"), "")
}

// An occurrence of which no run can be made is a finding at once. It ends with the next one that becomes a run, and
// not with a start by hand, which says nothing of the next one.
func refusedAtOnce(t *testing.T, s *store.Store) {
	set := clockOf(s)
	set("01T12:05:00")
	const keys = "parameters:\n- {name: DAY, type: date, default: today, max: 2026-03-%02d}"
	scheduled(t, s, "report", fmt.Sprintf(keys, 1), `cron: "0 0 * * *"`)
	scheduled(t, s, "undefined", "", `cron: "0 0 * * *"`)
	within(t, s, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM definition_versions WHERE job = 'undefined'`)
		return err
	})
	set("02T00:00:00")
	tick(t, s)
	if got := found(t, s, "report"); !strings.HasPrefix(got, "skipped warning: Schedule 1 (0 0 * * *) did not start report at 2026-03-02 00:00:00 UTC: refused: DAY: ") {
		t.Error(got)
	}
	if got := found(t, s, "undefined"); !strings.Contains(got, ": refused: a definition of job \"undefined\" was not found") {
		t.Error(got)
	}
	wantTroubled(t, s)
	wantText(t, notified(t, s), "skipped warning report, skipped warning undefined")
	set("02T10:00:00")
	startByHand(t, s, "report", true)
	tick(t, s)
	if got := found(t, s, "report"); !strings.Contains(got, ": refused: ") {
		t.Error(got)
	}
	scheduled(t, s, "report", fmt.Sprintf(keys, 3), `cron: "0 0 * * *"`)
	set("03T00:00:00")
	tick(t, s)
	wantText(t, found(t, s, "report"), "")
	wantText(t, notified(t, s), "skipped warning report, skipped warning undefined, recovered skipped warning report#2")
}

// An occurrence for which the queue has no room is refused, and a finding.
func refusedByAFullQueue(t *testing.T, s *store.Store) {
	set := clockOf(s)
	set("01T12:05:00")
	scheduled(t, s, "report", "overlap: allow", `cron: "0 * * * *"`)
	set("01T13:00:00")
	must(t, s.FillQueue(t.Context(), tick(t, s)[0].ID, rules.MaxQueuedOfJob-1))
	set("01T14:00:00")
	tick(t, s)
	if got := found(t, s, "report"); !strings.Contains(got, ": refused: the queue is full for job \"report\"") {
		t.Error(got)
	}
}
