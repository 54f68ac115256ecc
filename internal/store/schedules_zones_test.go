package store_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/store"
)

// halfHour is between the instants at which the clocks of these zones show a full or a half hour.
const halfHour = 30 * time.Minute

// expectedTimes are the times of one schedule by a model that looks at a clock on the wall each half hour: daily at a time
// of the day, or each hour if daily is negative.
func expectedTimes(zone *time.Location, begin, end time.Time, daily time.Duration) (all []string) {
	last := "" // the day that has had its time
	for at := begin.AddDate(0, 0, -1).Truncate(time.Hour); !at.After(end); at = at.Add(halfHour) {
		local := at.In(zone)
		day := local.Format(time.DateOnly)
		shown := time.Duration(local.Hour())*time.Hour + time.Duration(local.Minute())*time.Minute
		due := daily < 0 && local.Minute() == 0 || daily >= 0 && shown >= daily && day != last
		if due && daily >= 0 {
			last = day
		}
		if due && at.After(begin) {
			all = append(all, at.UTC().Format("02T15:04")+" ran")
		}
	}
	return all
}

// startedTimes are the occurrences of a schedule.
func startedTimes(t *testing.T, s *store.Store, name string, number int) (all []string) {
	t.Helper()
	for _, one := range occurrencesOf(t, s, name, number) {
		all = append(all, one.at.UTC().Format("02T15:04")+" "+one.result)
	}
	return all
}

// clockChanges are the hours of 2026 in which the clocks of a zone change.
func clockChanges(zone *time.Location) (all []time.Time) {
	for at := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC); at.Year() == 2026; at = at.Add(time.Hour) {
		_, before := at.In(zone).Zone()
		if _, after := at.Add(time.Hour).In(zone).Zone(); before != after {
			all = append(all, at)
		}
	}
	return all
}

// Through each change of the clocks of a year, a job of each day starts once a day, at its time or at the first instant
// after a gap, and a job of each hour starts in each real hour.
func schedulesWhenClocksChange(t *testing.T, s *store.Store) {
	daily := []time.Duration{0, 30 * time.Minute, 2*time.Hour + 30*time.Minute, 3 * time.Hour, 23*time.Hour + 30*time.Minute}
	for _, name := range []string{"Europe/Berlin", "America/New_York", "Africa/Cairo", "Australia/Lord_Howe", "Asia/Beirut", "America/Santiago"} {
		zone, err := time.LoadLocation(name)
		must(t, err)
		changes := clockChanges(zone)
		if len(changes) != 2 {
			t.Fatalf("%s changes its clocks %d times", name, len(changes))
		}
		for i, change := range changes {
			j := fmt.Sprintf("%s-%d", strings.ReplaceAll(name, "/", "-"), i)
			now := change.Add(-40 * time.Hour)
			s.SetClock(func() time.Time { return now })
			times := []string{`cron: "0 * * * *"`}
			for _, d := range daily {
				times = append(times, fmt.Sprintf(`cron: "%d %d * * *"`, int(d.Minutes())%60, int(d.Hours())))
			}
			scheduled(t, s, j, "overlap: allow\nzone: "+name, times...)
			begin, end := now, change.Add(34*time.Hour)
			for ; !now.After(end); now = now.Add(halfHour) {
				must(t, s.TickSchedules(t.Context(), nil))
			}
			for k, d := range append([]time.Duration{-1}, daily...) {
				want, got := expectedTimes(zone, begin, end, d), startedTimes(t, s, j, k+1)
				if len(got) < 3 || !slices.Equal(got, want) {
					t.Errorf("%s, %s:\nstarted %q\nwant    %q", j, times[k], got, want)
				}
			}
			now = end
			must(t, s.DeleteDefinition(t.Context(), j))
		}
	}
	checkRunsOfOccurrences(t, s)
}

// The server does not run for nine hours: each of 540 times of each schedule is a row with its reason, each job that
// catches up starts once, and a schedule that started nothing is reported once.
func TestServerIsDownForNineHours(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, s *store.Store) {
		l := runSchedules(t, s)
		l.pass(500 * time.Millisecond)
		const jobs = 3
		for i := range jobs {
			scheduled(t, s, fmt.Sprintf("latest%d", i), "overlap: skip", `every: 1m, anchor: "2000-01-01T00:00:00Z"`)
		}
		scheduled(t, s, "late", "", `cron: "*/10 * * * *"`, `cron: "*/10 * * * *", catch_up: none`, `cron: "*/10 * * * *", window: 2m`)
		l.stop()
		<-l.ended
		<-time.After(9*time.Hour + 5*time.Minute)
		began := s.Now()
		l = runSchedulesAt(t, s, l.hostClocks)
		defer func() { l.stop(); <-l.ended }()
		made := map[string]int{}
		for _, run := range l.pass(2 * time.Second) {
			made[run.Job]++
		}
		if len(made) != jobs+1 {
			t.Errorf("%v", made)
		}
		for name, n := range made {
			if n != 1 {
				t.Errorf("%s started %d times", name, n)
			}
		}
		for i := range jobs {
			l.wantMinutes(fmt.Sprintf("latest%d", i), began)
		}
		for number, want := range []string{
			"ran_late (started 5 m 1 s late)", "missed (nothing could be started then, and the schedule does not catch up)",
			"missed (nothing could be started then, and it is older than the window of 2 m)",
		} {
			if rows := l.reasons("late", number+1); len(rows) != 54 || rows[53] != "09:00 "+want {
				t.Errorf("schedule %d: %d rows, the last %q", number+1, len(rows), rows[len(rows)-1])
			}
		}
		checkRunsOfOccurrences(t, s)
		// One message for each schedule that started nothing, not one for each time.
		l.pass(5 * time.Second)
		messages, err := s.ReadTexts(t.Context(), `SELECT what || ' ' || status FROM outbox ORDER BY id`)
		must(t, err)
		if !slices.Equal(messages, []string{"skipped pending", "skipped pending"}) {
			t.Errorf("messages: %q", messages)
		}
	})
}

// reasons are what became of the times of a schedule.
func (l *scheduleLoop) reasons(name string, number int) (all []string) {
	l.t.Helper()
	from := l.begin.Add(-time.Hour)
	found, err := l.Occurrences(l.t.Context(), name, from, from.AddDate(1, 0, 0), 10_000)
	must(l.t, err)
	slices.Reverse(found)
	for _, o := range found {
		if o.Schedule == number && o.Count == 1 {
			text := o.At.UTC().Format("15:04") + " " + o.Result
			if o.Why != "" {
				text += " (" + o.Why + ")"
			}
			all = append(all, text)
		}
	}
	return all
}

// wantMinutes checks that each minute until a time was missed, and the last one was started.
func (l *scheduleLoop) wantMinutes(name string, until time.Time) {
	l.t.Helper()
	rows := l.reasons(name, 1)
	want := []string{}
	last := until.Truncate(time.Minute)
	for at := l.begin.Truncate(time.Minute).Add(time.Minute); at.Before(last); at = at.Add(time.Minute) {
		want = append(want, at.UTC().Format("15:04")+" missed (nothing could be started then, and a later time is started)")
	}
	want = append(want, last.UTC().Format("15:04")+" ran")
	if !slices.Equal(rows, want) || len(want) < 540 {
		l.t.Errorf("%s: %d rows, want %d\n%q\n%q", name, len(rows), len(want), rows, want)
	}
}
