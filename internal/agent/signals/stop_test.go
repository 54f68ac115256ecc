package signals

import (
	"testing"
	"time"
)

// Every stage, with a request within a second of the first and a later one, while the job
// lives and after its end.
func TestStopRequests(t *testing.T) {
	first := time.Unix(1000, 0)
	soon, later := first.Add(repeatInterval-1), first.Add(repeatInterval)
	for _, tc := range []struct {
		stage  Stage
		at     time.Time
		ended  bool
		action Action
		next   Stage
	}{
		{Running, later, false, Begin, Stopping},
		{Running, later, true, GiveUp, Stopping},
		{Stopping, soon, false, None, Stopping},
		{Stopping, soon, true, None, Stopping},
		{Stopping, later, false, Shorten, Shortened},
		{Stopping, later, true, GiveUp, Stopping},
		{Shortened, later, false, Kill, Killed},
		{Shortened, later, true, GiveUp, Shortened},
		{Killed, later, false, Abandon, Abandoned},
		{Killed, later, true, GiveUp, Killed},
		{Abandoned, later, false, None, Abandoned},
		{Abandoned, later, true, GiveUp, Abandoned},
	} {
		s := Stop{stage: tc.stage, first: first}
		s.JobEnded(tc.ended)
		if got := s.Request(tc.at); got != tc.action || s.Stage() != tc.next {
			t.Errorf("%+v: action %d, stage %d", tc, got, s.Stage())
		}
		if tc.action != GiveUp {
			continue
		}
		if got := s.Request(tc.at.Add(time.Hour)); got != None {
			t.Errorf("%+v: a wait was given up twice: %d", tc, got)
		}
	}
}

// A machine that sends each request twice, and a person who presses Ctrl-C again and again.
func TestStopRequestsInOrder(t *testing.T) {
	at := func(ms int) time.Time { return time.Unix(0, 0).Add(time.Duration(ms) * time.Millisecond) }
	var s Stop
	for i, step := range []struct {
		ms   int
		want Action
	}{{0, Begin}, {50, None}, {999, None}, {1000, Shorten}, {1100, Kill}, {1200, Abandon}, {1300, None}} {
		if got := s.Request(at(step.ms)); got != step.want {
			t.Errorf("request %d, at %d ms: %d, want %d", i, step.ms, got, step.want)
		}
	}
}
