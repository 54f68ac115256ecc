package servercmd

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"

	"stint.dev/stint/internal/archive"
	"stint.dev/stint/internal/cli/keepopts"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/internal/keep"
	"stint.dev/stint/internal/store"
)

// keepRows returns the options about what the server keeps, and where.
func keepRows() []option.Option {
	return append([]option.Option{
		{Name: "durability", Value: "LEVEL", Default: "full", Help: "what is on disk before an append is acknowledged: full (survives a power cut) or relaxed (survives a crash of the server)"},
		{Name: "archive", Value: "PLACE", Help: "where finished logs are kept: a directory, or s3://BUCKET/PREFIX?endpoint=URL (default: archive/ in the data directory; with PostgreSQL, the database)"},
	}, keepopts.Rows()...)
}

// keepOptions reads keepRows into the options of the store.
func (p *program) keepOptions(ctx context.Context, opts *option.Set, so *store.Options, log *slog.Logger) error {
	switch durability := opts.Text("durability"); durability {
	case "full", "relaxed":
		so.Relaxed = durability == "relaxed"
	default:
		return option.Usagef("--durability: %q is neither full nor relaxed", durability)
	}
	limits, err := keepopts.Limits(opts)
	if err != nil {
		return err
	}
	so.Keep = limits
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
