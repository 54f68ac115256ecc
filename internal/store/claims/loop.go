package claims

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"stint.dev/stint/internal/periodic"
)

const (
	// endClaimsInterval is the interval at which overdue claims are looked for.
	endClaimsInterval = time.Second
	// tidyWorkersInterval is the interval at which workers that are gone are forgotten.
	tidyWorkersInterval = time.Hour
)

// RunClaims ends the claims that no worker names any more, until ctx ends. changed is called with the runs that
// ended because of it.
func (s *Claims) RunClaims(ctx context.Context, log *slog.Logger, changed func(run string)) {
	failures := periodic.Failures{Log: log, Failing: "overdue claims of workers could not be ended", Working: "overdue claims of workers are ended again"}
	var tidied time.Time
	periodic.Loop{Every: endClaimsInterval, Failures: failures}.Run(ctx, func(now time.Time) error {
		if now.Sub(tidied) >= tidyWorkersInterval {
			if err := s.TidyWorkers(ctx, now); err != nil {
				return err
			}
			tidied = now
		}
		events, err := s.EndOverdueClaims(ctx)
		err = errors.Join(err, s.EndLeases(ctx))
		for _, e := range events {
			changed(e.Run)
		}
		return err
	})
}
