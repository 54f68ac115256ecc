package servercmd

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/internal/periodic"
)

// watchdogTime returns how long the service manager waits for the next WATCHDOG=1 before it
// ends the server (sd_watchdog_enabled(3)); 0 if it waits for none from process pid.
func watchdogTime(getenv func(string) string, pid int) (time.Duration, error) {
	text, of := getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID")
	if text == "" || of != "" && of != strconv.Itoa(pid) {
		return 0, nil
	}
	micros, err := strconv.ParseInt(text, 10, 64)
	if err != nil || micros < 4 || micros > time.Duration(1<<63-1).Microseconds() {
		return 0, option.Usagef("WATCHDOG_USEC: %q is not a number of microseconds", text)
	}
	return time.Duration(micros) * time.Microsecond, nil
}

// watchdog calls notify often enough for a service manager that waits for limit, until ctx
// ends. It does so only while the loops that matter turn: lastTurn returns when the one that
// is furthest behind last did.
func watchdog(ctx context.Context, limit time.Duration, lastTurn func() time.Time, notify func(), log *slog.Logger) {
	reported := false
	periodic.Loop{Every: limit / 4, First: limit / 4}.Run(ctx, func(now time.Time) error {
		behind := now.Sub(lastTurn())
		stuck := behind > limit/2
		if stuck && !reported {
			log.Error("the monitor or the committer makes no progress: the service manager will restart the server unless this ends",
				"since", behind.Round(time.Millisecond), "watchdog", limit)
		}
		if !stuck {
			notify()
		}
		reported = stuck
		return nil
	})
}
