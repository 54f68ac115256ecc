package bounded_test

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"stint.dev/stint/internal/agent/bounded"
)

func TestCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		got, err := bounded.Call(time.Second, func() (int, error) { <-time.After(time.Second / 2); return 7, io.EOF })
		if took := time.Since(begun); got != 7 || err != io.EOF || took != time.Second/2 {
			t.Errorf("%d, %v after %s", got, err, took)
		}
		begun = time.Now()
		got, err = bounded.Call(time.Second, func() (int, error) { <-time.After(time.Hour); return 7, nil })
		var late *bounded.NoAnswerError
		if took := time.Since(begun); got != 0 || !errors.As(err, &late) || late.Limit != time.Second || took != time.Second {
			t.Errorf("%d, %v after %s", got, err, took)
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
