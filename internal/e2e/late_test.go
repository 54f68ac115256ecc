package e2e

import (
	"encoding/json"
	"slices"
	"testing"

	"stint.dev/stint/job/api"
)

// A failure of the time in which the server was away, delivered after good runs that started later,
// takes its place before them: it is not the job's last run, and no alarm.
func TestALateFailureIsNoAlarm(t *testing.T) {
	t.Parallel()
	onBothDatabases(t, func(t *testing.T, s *server) {
		away, here := newHost(t), newHost(t)
		s.stop()
		if r := away.run("run", "--server", s.url, "--flush-timeout", "0s", "--job", "nightly", "-c", "exit 1"); r.code != 1 {
			t.Fatalf("%+v", r)
		}
		s.start()
		for range 2 {
			if r := here.run("run", "--server", s.url, "--job", "nightly", "--", "true"); r.code != 0 {
				t.Fatalf("%+v", r)
			}
		}
		s.ended("nightly#2")
		if r := away.run("flush", "--server", s.url); r.code != 0 {
			t.Fatalf("%+v", r)
		}
		s.ended("nightly#3")
		var numbers []int64
		for _, r := range s.runs("nightly") {
			numbers = append(numbers, r.Number)
		}
		if !slices.Equal(numbers, []int64{2, 1, 3}) {
			t.Errorf("runs in the order of their starts: %v", numbers)
		}
		var sum api.Summary
		if err := json.Unmarshal(s.get("/api/v1/jobs/nightly"), &sum); err != nil || sum.LastRun == nil || sum.LastRun.Number != 2 {
			t.Errorf("the last run: %+v, %v", sum.LastRun, err)
		}
		if r := here.run("run", "--server", s.url, "--job", "nightly", "--", "true"); r.code != 0 {
			t.Fatalf("%+v", r)
		}
		s.ended("nightly#4")
		var sent []string
		eventually(t, "the late run is reported", func() bool {
			var page struct {
				Actions []struct{ What, Message string }
			}
			if err := json.Unmarshal(s.get("/api/v1/actions"), &page); err != nil {
				t.Fatal(err)
			}
			sent = nil
			for _, a := range page.Actions {
				sent = append(sent, a.What)
			}
			return len(sent) > 0
		})
		if !slices.Equal(sent, []string{"late"}) {
			t.Errorf("notifications: %v", sent)
		}
	})
}
