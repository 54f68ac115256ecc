package queue

import (
	"testing"
	"time"
)

func TestRoom(t *testing.T) {
	for _, c := range []struct{ slots, free, has, room int }{
		{4, 4, 0, 4}, {4, 4, 3, 1}, {4, 1, 0, 1}, {4, 0, 0, 0}, {4, 4, 9, 0}, {4, -3, 0, 0}, {0, 4, 0, 0}, {4, 99, 1, 3},
	} {
		if room := Room(c.slots, c.free, c.has); room != c.room {
			t.Errorf("Room(%d, %d, %d) = %d, want %d", c.slots, c.free, c.has, room, c.room)
		}
	}
}

func TestMayHaveName(t *testing.T) {
	lease := WorkerLease(noon, 20*time.Second)
	for name, c := range map[string]struct {
		known, id string
		after     time.Duration
		may       bool
	}{
		"a new name":                  {"", "one", 0, true},
		"its own":                     {"one", "one", 0, true},
		"another's, who waits":        {"one", "two", 20 * time.Second, false},
		"another's, within the grace": {"one", "two", 49 * time.Second, false},
		"another's, who is gone":      {"one", "two", 50 * time.Second, true},
	} {
		if may := MayHaveName(c.known, lease, c.id, noon.Add(c.after)); may != c.may {
			t.Errorf("%s: %v", name, may)
		}
	}
	if !WorkerLease(noon, -time.Hour).Equal(noon.Add(workerGrace)) {
		t.Error("a wait in the past shortens the lease")
	}
}

func TestWithheldUntil(t *testing.T) {
	for name, c := range map[string]struct {
		ago   []time.Duration // the ends of claims before now
		until time.Duration   // from now; 0 for offered
	}{
		"none":                      {nil, 0},
		"two":                       {[]time.Duration{time.Second, 0}, 0},
		"three":                     {[]time.Duration{2 * time.Minute, time.Minute, 0}, 10 * time.Minute},
		"three, a while ago":        {[]time.Duration{9 * time.Minute, 5 * time.Minute, 4 * time.Minute}, 6 * time.Minute},
		"three, long ago":           {[]time.Duration{13 * time.Minute, 12 * time.Minute, 10 * time.Minute}, 0},
		"three, in more than 10min": {[]time.Duration{11 * time.Minute, time.Minute, 0}, 0},
		"four, in any order":        {[]time.Duration{0, time.Hour, time.Minute, 2 * time.Minute}, 10 * time.Minute},
	} {
		var ends []time.Time
		for _, ago := range c.ago {
			ends = append(ends, noon.Add(-ago))
		}
		until := WithheldUntil(ends, noon)
		if c.until == 0 && !until.IsZero() || c.until > 0 && until.Sub(noon) != c.until {
			t.Errorf("%s: %s", name, until)
		}
	}
}
