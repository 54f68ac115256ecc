package stall

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"stint.dev/stint/internal/agent/process/member"
)

const never = -1

// A check each second against a limit of 10 s; see says what each check finds.
func TestLook(t *testing.T) {
	start := time.Unix(1000, 0)
	cases := map[string]struct {
		see  func(second int, s *Observation)
		end  int // the second in which the verdict falls
		why  string
		gaps map[int]int // seconds after which the next check is late, and by how much
	}{
		"nothing at all":              {see: func(int, *Observation) {}, end: 10},
		"output":                      {see: func(i int, s *Observation) { s.Output = int64(i) }, end: never},
		"output until 5":              {see: func(i int, s *Observation) { s.Output = int64(min(i, 5)) }, end: 15},
		"a busy core":                 {see: func(i int, s *Observation) { s.CPUSeconds = float64(i) }, end: never},
		"a runtime's timers":          {see: func(i int, s *Observation) { s.CPUSeconds = 0.009 * float64(i) }, end: 10},
		"one tick each second":        {see: func(i int, s *Observation) { s.CPUSeconds = 0.01 * float64(i) }, end: 10},
		"a starved job":               {see: func(i int, s *Observation) { s.CPUSeconds = 0.014 * float64(i) }, end: never},
		"two ticks each second":       {see: func(i int, s *Observation) { s.CPUSeconds = 0.02 * float64(i) }, end: never},
		"one burst":                   {see: func(i int, s *Observation) { s.CPUSeconds = float64(i / 7) }, end: never},
		"disk":                        {see: func(i int, s *Observation) { s.StorageBytes = int64(i) * 4096 }, end: never},
		"a pipe":                      {see: func(i int, s *Observation) { s.MovedBytes = int64(i) << 20 }, end: never},
		"a poll":                      {see: func(i int, s *Observation) { s.MovedBytes = int64(i) << 12 }, end: 10},
		"status":                      {see: func(i int, s *Observation) { s.Statuses = int64(i / 9) }, end: never},
		"CPU that cannot be measured": {see: func(_ int, s *Observation) { s.Unknown = true }, end: never},
		"a watchdog":                  {see: func(i int, s *Observation) { s.Watchdogs = int64(i / 5) }, end: never},
		"a watchdog that stops": {see: func(i int, s *Observation) {
			s.Watchdogs, s.CPUSeconds, s.Output = int64(min(i, 4)), float64(i), int64(i)
		}, end: 14, why: WatchdogStopped},
		"more time asked for":              {see: func(_ int, s *Observation) { s.Extended = start.Add(25 * time.Second) }, end: 25},
		"more time that ends before":       {see: func(_ int, s *Observation) { s.Extended = start.Add(3 * time.Second) }, end: 10},
		"more time for a watchdog":         {see: func(i int, s *Observation) { s.Watchdogs = int64(min(i, 1)); s.Extended = start.Add(20 * time.Second) }, end: 20},
		"the host stood still for an hour": {see: func(int, *Observation) {}, gaps: map[int]int{5: 3600}, end: 3609},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := New(10*time.Second, start, Observation{})
			if w.First() != time.Second {
				t.Errorf("first check after %s", w.First())
			}
			ended := never
			for i := 1; i < 3650 && ended == never; i++ {
				var s Observation
				tc.see(i, &s)
				v := w.Check(start.Add(time.Duration(i)*time.Second), s)
				if v.Stalled {
					ended = i
					if v.Why != tc.why {
						t.Errorf("why %q, want %q", v.Why, tc.why)
					}
				} else if v.Next <= 0 || v.Next > time.Second {
					t.Errorf("next check in %s", v.Next)
				}
				i += tc.gaps[i]
			}
			if ended != tc.end {
				t.Errorf("stalled at second %d, want %d", ended, tc.end)
			}
		})
	}
}

func TestPaceFollowsTheLimit(t *testing.T) {
	for limit, want := range map[time.Duration]time.Duration{
		10 * time.Millisecond:  10 * time.Millisecond,
		time.Second:            100 * time.Millisecond,
		100 * time.Millisecond: 50 * time.Millisecond,
		time.Hour:              10 * time.Second,
	} {
		if got := New(limit, time.Unix(0, 0), Observation{}).First(); got != want {
			t.Errorf("limit %s: first check after %s, want %s", limit, got, want)
		}
	}
}

func TestMovedCountsWhatItKnows(t *testing.T) {
	own := []member.Member{{PID: os.Getpid(), StartedTicks: 1}}
	var m TransferCounter
	if _, ok := transferredBytes(os.Getpid()); !ok {
		t.Skip("this system does not say what a process reads and writes")
	}
	if got := m.Add(own); got != 0 {
		t.Errorf("a process seen first counts %d", got)
	}
	if err := os.WriteFile(filepath.Join(t.TempDir(), "f"), make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	first := m.Add(own)
	if first < 1<<20 {
		t.Errorf("%d bytes after writing a MiB", first)
	}
	if got := m.Add(nil); got != first {
		t.Errorf("the end of a process changed the total from %d to %d", first, got)
	}
	if got := m.Add([]member.Member{{PID: os.Getpid(), StartedTicks: 2}}); got != first {
		t.Errorf("another process of that number changed the total from %d to %d", first, got)
	}
}
