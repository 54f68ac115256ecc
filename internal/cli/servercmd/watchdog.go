package servercmd

import (
	"context"
	"log/slog"
	"time"

	"stint.dev/stint/internal/periodic"
)

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
