package servercmd

import (
	"context"
	"time"

	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/keepopts"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/retention"
)

// keepDryRun prints what a server with these options would delete, and deletes nothing.
func (p *program) keepDryRun(ctx context.Context, opts *option.Set) error {
	limits, err := keepopts.Limits(opts)
	if err != nil {
		return err
	}
	return p.withDatabase(ctx, opts, func(so *store.Options) error {
		so.Beside = true
		return nil
	}, func(db *store.Store) error {
		got, err := db.Preview(ctx, time.Now(), retention.Server(limits.Age, limits.Runs), limits.Bytes, limits.AtOnce)
		if err != nil {
			return err
		}
		return console.WriteAll(p.Out, keepopts.Preview(got))
	})
}
