package bounded_test

import (
	"testing"
	"testing/synctest"
	"time"

	"stint.dev/stint/internal/agent/bounded"
)

func TestCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		if got, ok := bounded.Call(time.Second, func() int { <-time.After(time.Second / 2); return 7 }); got != 7 || !ok {
			t.Errorf("%d, %v", got, ok)
		}
		if took := time.Since(begun); took != time.Second/2 {
			t.Errorf("waited %s for what answers after half a second", took)
		}
		begun = time.Now()
		if got, ok := bounded.Call(time.Second, func() int { <-time.After(time.Hour); return 7 }); got != 0 || ok {
			t.Errorf("%d, %v", got, ok)
		}
		if took := time.Since(begun); took != time.Second {
			t.Errorf("waited %s", took)
		}
		<-time.After(time.Hour) // the goroutine ends
	})
}

func TestDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		done := false
		if !bounded.Do(time.Second, func() { done = true }) || !done {
			t.Error("it was not done")
		}
		if bounded.Do(time.Second, func() { <-time.After(time.Hour) }) {
			t.Error("it was done too early")
		}
		<-time.After(time.Hour)
	})
}
