package servercmd

import (
	"context"
	"log/slog"
	"math"
	"path/filepath"
	"strings"
	"time"

	"stint.dev/stint/internal/archive"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/internal/keep"
	"stint.dev/stint/internal/store"
)

// keepRows returns the options about what the server keeps, and where.
func keepRows() []option.Option {
	return []option.Option{
		{Name: "durability", Value: "LEVEL", Default: "full", Help: "what is on disk before an append is acknowledged: full (survives a power cut) or relaxed (survives a crash of the server)"},
		{Name: "archive", Value: "PLACE", Help: "where finished logs are kept: a directory, or s3://BUCKET/PREFIX?endpoint=URL (default: archive/ in the data directory; with PostgreSQL, the database)"},
		{Name: "run-log-limit", Kind: option.Size, Value: "BYTES", Help: "keep only the beginning and the end of longer logs; the gap is shown with its size"},
		{Name: "keep-days", Kind: option.Number, Value: "N", Help: "delete runs that ended more than N days ago"},
		{Name: "keep-bytes", Kind: option.Size, Value: "BYTES", Help: "delete the oldest runs when all journals together are larger"},
		{Name: "keep-runs", Kind: option.Number, Value: "N", Help: "keep only the last N ended runs of each job"},
		{FlagOnly: true, Name: "keep-now", Kind: option.Switch, Help: "apply keep-days, keep-runs and keep of policies at once, also where they delete more than a tenth of all ended runs and would wait for 24 hours"},
	}
}

// keepOptions reads keepRows into the options of the store.
func (p *program) keepOptions(ctx context.Context, opts *option.Set, so *store.Options, log *slog.Logger) error {
	switch durability := opts.Text("durability"); durability {
	case "full", "relaxed":
		so.Relaxed = durability == "relaxed"
	default:
		return option.Usagef("--durability: %q is neither full nor relaxed", durability)
	}
	days, runs := opts.Number("keep-days"), opts.Number("keep-runs")
	if days < 0 || days > 100_000 || math.IsNaN(days) {
		return option.Usagef("--keep-days: %g is not a number of days", days)
	}
	if runs < 0 || runs > 1e9 || runs != math.Trunc(runs) {
		return option.Usagef("--keep-runs: %g is not a number of runs", runs)
	}
	so.Keep = store.Keep{
		Age: time.Duration(days * float64(24*time.Hour)), Bytes: opts.Size("keep-bytes"), Runs: int(runs),
		RunLog: opts.Size("run-log-limit"), AtOnce: opts.On("keep-now"),
	}
	a, err := p.openArchive(ctx, opts.Text("archive"), so, func(err error) {
		log.Warn("the archive cannot be reached; logs are packed once it can", "error", err)
	})
	if err != nil {
		return err
	}
	so.Archive = a
	return nil
}

// openArchive opens the place of finished logs; nil keeps them in the database. A bucket that
// cannot be reached now is reported to warn and is no error: new journals need no archive.
func (p *program) openArchive(ctx context.Context, place string, so *store.Options, warn func(error)) (store.Archive, error) {
	switch {
	case place == "" && so.Dir == "":
		return nil, nil //nolint:nilnil // no archive is a choice
	case place == "":
		return archive.OpenDir(filepath.Join(so.Dir, "archive"))
	case strings.Contains(place, "://"):
		return p.openBucket(ctx, place, warn)
	}
	return archive.OpenDir(place)
}

// openBucket opens a bucket. The names of its credentials are those that every tool for
// such buckets knows.
func (p *program) openBucket(ctx context.Context, address string, warn func(error)) (store.Archive, error) {
	o, err := archive.ParseS3(address)
	if err != nil {
		return nil, option.Usagef("--archive: %v", err)
	}
	o.AccessKey, o.SecretKey, o.SessionToken = p.Getenv("AWS_ACCESS_KEY_ID"), p.Getenv("AWS_SECRET_ACCESS_KEY"), p.Getenv("AWS_SESSION_TOKEN")
	bucket, err := archive.OpenS3(o)
	if err != nil {
		return nil, err
	}
	if err := bucket.Check(ctx); err != nil {
		warn(err)
	}
	return bucket, nil
}

// warnArchive prints a warning that the archive cannot be reached.
func (p *program) warnArchive(err error) { p.Say("warning: the archive cannot be reached: %v", err) }

// withLog makes the store's options use the server's log, also for what retention deletes: a
// mistyped number must not go unnoticed.
func withLog(o store.Options, log *slog.Logger) store.Options {
	o.Log = log
	o.Deleted = func(d *keep.Deleted) {
		log.Info("retention deleted runs", "runs", d.Runs, "jobs", d.Jobs(), "bytes", d.Bytes, "rules", d.Counts())
	}
	return o
}

// maintain runs the maintenance of the store until ctx ends.
func maintain(ctx context.Context, db *store.Store, log *slog.Logger) {
	db.Maintain(ctx, func(err error) { log.Error("maintenance of the store failed and will be tried again", "error", err) })
}
