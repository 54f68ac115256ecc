package store

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"stint.dev/stint/internal/clock"
	"stint.dev/stint/internal/keep"
	"stint.dev/stint/internal/store/access"
	"stint.dev/stint/internal/store/blocks"
	"stint.dev/stint/internal/store/claims"
	"stint.dev/stint/internal/store/datadir"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/definitions"
	"stint.dev/stint/internal/store/due"
	"stint.dev/stint/internal/store/groups"
	"stint.dev/stint/internal/store/health"
	"stint.dev/stint/internal/store/intake"
	"stint.dev/stint/internal/store/jobfigures"
	"stint.dev/stint/internal/store/maintenance"
	"stint.dev/stint/internal/store/matcher"
	"stint.dev/stint/internal/store/outbox"
	"stint.dev/stint/internal/store/queue"
	"stint.dev/stint/internal/store/refs"
	"stint.dev/stint/internal/store/retention"
	"stint.dev/stint/internal/store/runs"
	"stint.dev/stint/internal/store/schedules"
	"stint.dev/stint/internal/store/troubled"
)

// Options says which database to use. Exactly one of Dir and URL is set.
type Options struct {
	// Dir is the data directory; the database is the file stint.db in it. It is created
	// if it is missing.
	Dir string
	// URL is a PostgreSQL address: postgres://user@host/database.
	URL string
	// Beside opens a data directory also while a server uses it, for a single action such as
	// creating a token.
	Beside bool
	// Relaxed does not wait for the disk: what was written survives the end of the process, but
	// not a power cut.
	Relaxed bool
	// Archive is where packed journals go; nil keeps them in the database.
	Archive blocks.Archive
	// Keep limits what is kept.
	Keep maintenance.Keep
	// Deleted, unless it is nil, is called after each pass of retention that deleted something.
	Deleted func(*keep.Deleted)
	Log     *slog.Logger     // nil: slog.Default()
	Now     func() time.Time // the server's clock; nil: time.Now
	// SecretKeyFile holds the keys that encrypt the secrets of routes; it is created if it is
	// missing. Empty for a process that neither reads nor sets routes.
	SecretKeyFile string
	// file is the name of a database that is being built; see OpenNew.
	file string
}

// Store is an open database with the methods of all its parts. They may be called from any goroutine.
type Store struct {
	*db.DB
	*troubled.Items
	*blocks.Journals
	*runs.Queries
	*refs.Refs
	*access.Access
	*claims.Claims
	*definitions.Definitions
	*due.Expectations
	*outbox.Outbox
	*health.Health
	*intake.Intake
	*jobfigures.PerJob
	*maintenance.Maintenance
	*retention.Retention
	*groups.Places
	*queue.Queue
	*matcher.Matcher
	*schedules.Schedules
	dir     string       // the data directory; empty for PostgreSQL
	release func() error // releases the data directory
}

// Open opens the database, migrates its schema and locks the data directory. The error says what to do
// if the directory cannot be written, is used by another server, or was written by a newer stint
// (*NewerSchemaError).
func Open(ctx context.Context, o Options) (*Store, error) {
	switch {
	case o.Dir != "" && o.URL != "":
		return nil, errors.New("a data directory and a database URL were both given: choose one")
	case o.URL == "" && o.Dir == "":
		return nil, errors.New("neither a data directory nor a database URL was given")
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	open := openDir
	if o.URL != "" {
		open = openURL
	}
	s, err := open(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := s.prepare(ctx, o); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// OpenNew opens a database that is being built, under another name, in a data directory that the
// caller has locked.
func OpenNew(ctx context.Context, o Options, file string) (*Store, error) {
	o.file = file
	return Open(ctx, o)
}

// Dir returns the data directory; empty for PostgreSQL.
func (s *Store) Dir() string { return s.dir }

// prepare prepares an open database for use.
func (s *Store) prepare(ctx context.Context, o Options) error {
	if err := s.Identify(ctx, s.Now()); err != nil {
		return err
	}
	if err := s.OpenSecrets(ctx, o.SecretKeyFile); err != nil {
		return err
	}
	if o.Beside {
		return nil
	}
	if err := s.OpenTokenKey(ctx); err != nil {
		return err
	}
	if err := s.ExtendClaims(ctx); err != nil {
		return err
	}
	if err := s.RaiseEventIDs(ctx, s.Now()); err != nil {
		return err
	}
	if s.dir == "" {
		return nil
	}
	return s.ReleaseRoutes(ctx)
}

// newStore returns a store with its parts on an open database.
func newStore(d *db.DB, dir string, o Options) *Store {
	d.Log, d.Now, d.SinceBoot = o.Log, o.Now, clock.SinceBoot
	items := troubled.New(d)
	journals := blocks.New(d, uuid.NewString(), o.Archive, o.Keep.RunLog)
	asked := runs.New(d, items)
	given := claims.New(d, o.Relaxed)
	actions := outbox.New(d, items, asked, given)
	judged := health.New(d, items, given)
	taken := intake.New(d, items, journals, given)
	waiting := queue.New(d)
	waiting.UseWorkers(given.LiveWorkers)
	expected := due.New(d, items)
	taken.UseExpectations(expected)
	limits := retention.New(d, judged.Policies)
	return &Store{
		DB: d, Items: items, Journals: journals, Queries: asked, Refs: refs.New(d),
		Access: access.New(d), Claims: given, Definitions: definitions.New(d), Expectations: expected, Outbox: actions, Health: judged, Intake: taken, Places: groups.New(d), Queue: waiting, Matcher: matcher.New(d, waiting),
		PerJob:      jobfigures.New(d),
		Retention:   limits,
		Schedules:   schedules.New(d, waiting, items, outbox.Enqueue),
		Maintenance: maintenance.New(d, items, journals, parts{Queries: asked, Health: judged, Outbox: actions, Intake: taken}, limits, dir, o.Keep, o.Deleted),
		dir:         dir, release: func() error { return nil },
	}
}

func openURL(ctx context.Context, o Options) (*Store, error) {
	d, err := db.OpenPostgres(ctx, o.URL, o.Relaxed, o.Beside)
	if err != nil {
		return nil, err
	}
	return newStore(d, "", o), nil
}

// openDir opens the database of a data directory. If another process uses it, that needs
// Options.Beside.
func openDir(ctx context.Context, o Options) (*Store, error) {
	dir, err := datadir.Make(o.Dir)
	if err != nil {
		return nil, err
	}
	if o.file != "" {
		return openFiles(ctx, dir, o.file, false, o)
	}
	release, err := datadir.Lock(dir)
	var inUse *datadir.InUseError
	beside := o.Beside && errors.As(err, &inUse)
	if beside {
		release, err = func() error { return nil }, nil
	}
	if err != nil {
		return nil, err
	}
	if err := datadir.CheckLost(dir); err != nil {
		return nil, errors.Join(err, release())
	}
	if !beside {
		if err := datadir.CloseToOthers(dir, o.Log); err != nil {
			return nil, errors.Join(datadir.Unusable(dir, err), release())
		}
	}
	s, err := openFiles(ctx, dir, datadir.DatabaseName, beside, o)
	if err != nil {
		return nil, errors.Join(err, release())
	}
	s.release = release
	if beside {
		return s, nil // the log of heartbeats is the server's
	}
	if err := s.OpenHeartbeatLog(ctx, dir, o.Relaxed); err != nil {
		return nil, errors.Join(datadir.Unusable(dir, err), s.Close())
	}
	return s, nil
}

// openFiles opens a database and the segments in a data directory. Beside a server it must have the
// schema of this version.
func openFiles(ctx context.Context, dir, name string, beside bool, o Options) (*Store, error) {
	file := filepath.Join(dir, name)
	if err := datadir.MakePrivate(file); err != nil {
		return nil, datadir.Unusable(dir, err)
	}
	d, err := db.OpenSQLite(ctx, file, o.Relaxed, beside)
	var newer *db.NewerSchemaError
	var older *db.OlderSchemaError
	switch {
	case errors.As(err, &newer) || errors.As(err, &older):
		return nil, err
	case err != nil && db.Advice(err) != "":
		return nil, datadir.UnusableUntil(dir, err, db.Advice(err))
	case err != nil:
		return nil, datadir.Unusable(dir, err)
	}
	s := newStore(d, dir, o)
	if err := s.OpenSegments(ctx, filepath.Join(dir, "segments"), o.Relaxed); err != nil {
		return nil, errors.Join(datadir.Unusable(dir, err), s.Close())
	}
	return s, nil
}

// parts are the other parts of a store that maintenance calls.
type parts struct {
	*runs.Queries
	*refs.Refs
	*health.Health
	*outbox.Outbox
	*intake.Intake
}

// Close closes the database and releases the data directory.
func (s *Store) Close() error {
	return errors.Join(s.CloseHeartbeatLog(), s.DB.Close(), s.CloseSegments(), s.release())
}
