package servercmd

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"stint.dev/stint/internal/cli/command"
)

func TestWatchdogTime(t *testing.T) {
	for _, tt := range []struct {
		usec, pid string
		want      time.Duration
		wrong     bool
	}{
		{},
		{usec: "120000000", want: 2 * time.Minute},
		{usec: "120000000", pid: "42", want: 2 * time.Minute},
		{usec: "120000000", pid: "43"}, // a child of the process that is watched
		{pid: "42"},
		{usec: "0", wrong: true},
		{usec: "-1", wrong: true},
		{usec: "2min", wrong: true},
		{usec: "9223372036854775807", wrong: true},
		{usec: "9223372036854775807", pid: "43"},
	} {
		getenv := func(name string) string {
			return map[string]string{"WATCHDOG_USEC": tt.usec, "WATCHDOG_PID": tt.pid}[name]
		}
		if got, err := command.WatchdogTime(getenv, 42); got != tt.want || (err != nil) != tt.wrong {
			t.Errorf("%+v: %s, %v", tt, got, err)
		}
	}
}

// The watchdog notifies four times within its limit while loops turn, stops once one has
// not turned for half of it, logs that once, and goes on when the loop does.
func TestWatchdog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		const limit = 2 * time.Minute
		var out bytes.Buffer
		var stopped atomic.Pointer[time.Time] // when the loop stopped; nil while it turns
		lastTurn := func() time.Time {
			if at := stopped.Load(); at != nil {
				return *at
			}
			return time.Now()
		}
		var notified atomic.Int64
		ended := make(chan struct{})
		go func() {
			watchdog(ctx, limit, lastTurn, func() { notified.Add(1) }, slog.New(slog.NewTextHandler(&out, nil)))
			close(ended)
		}()
		pass := func(d time.Duration) int64 {
			before := notified.Load()
			<-time.After(d + time.Second)
			synctest.Wait()
			return notified.Load() - before
		}
		if n := pass(time.Hour); n != 120 {
			t.Errorf("notified %d times in an hour", n)
		}
		now := time.Now()
		stopped.Store(&now)
		if n := pass(time.Hour); n > 2 {
			t.Errorf("notified %d times while a loop does not turn", n)
		}
		stopped.Store(nil)
		if n := pass(time.Hour); n < 119 {
			t.Errorf("notified %d times in the hour after", n)
		}
		if n := strings.Count(out.String(), "\n"); n != 1 || !strings.Contains(out.String(), "level=ERROR") {
			t.Errorf("the log:\n%s", out.String())
		}
		cancel()
		<-ended
	})
}
