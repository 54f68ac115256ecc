package queue

import (
	"testing"
	"time"
)

func TestAfterRestore(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, one := range []struct {
		due, now   time.Duration // since the restore
		held       string
		passesHeld bool
	}{
		{-1, 0, "restored", false},
		{-time.Hour, time.Hour, "restored", false},
		{0, 0, "", false},
		{time.Second, RestoredGrace - 1, "", false},
		{time.Second, RestoredGrace, "", true},
		{time.Hour, time.Hour, "", true},
	} {
		o := Occurrence{At: at.Add(one.due)}
		o.AfterRestore(at, "restored", at.Add(one.now))
		if o.Held != one.held || o.PassesHeld != one.passesHeld {
			t.Errorf("due after %s, at %s: %+v", one.due, one.now, o)
		}
	}
}
