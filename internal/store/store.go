package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"stint.dev/stint/internal/store/segment"
	"stint.dev/stint/job"
)

// Options says which database to use. Exactly one of Dir and URL is set.
type Options struct {
	// Dir is the data directory; the database is the file stint.db in it. It is created
	// if it is missing.
	Dir string
	// URL is a PostgreSQL address: postgres://user@host/database.
	URL string
	// Beside opens a data directory also while a server works in it, for a single action
	// such as making a token.
	Beside bool
	// Relaxed answers before the disk has what was written: it survives the end of the
	// process, however that ends, and not a power cut.
	Relaxed bool
	// Archive is where packed journals go; nil keeps them in the database.
	Archive Archive
	// Keep says how much is kept.
	Keep Keep
	// Deleted is called with how many runs one pass of a rule of Keep deleted: age, runs or bytes.
	// nil for nobody.
	Deleted func(rule string, runs int)
	Log     *slog.Logger     // nil: slog.Default()
	Now     func() time.Time // the server's clock, for what is tried again; nil: time.Now
	// SecretKeyFile holds the keys that encrypt the secrets of routes; it is made if it is missing.
	// Empty for a process that neither reads nor sets routes.
	SecretKeyFile string
	// file is a database that Rebuild makes, which holds the data directory already.
	file string
}

// Store is an open database. Its methods may be called from any goroutine.
type Store struct {
	// SQLite has one connection that writes and a few that read; PostgreSQL a pool for
	// each, because they are planned differently.
	writer, reader *sql.DB
	dialect        dialect
	prepared       *statements  // of writer; nil for PostgreSQL
	segments       *segment.Log // where blocks are; nil for PostgreSQL
	archive        Archive      // may be nil
	keep           Keep
	onDeleted      func(rule string, runs int) // may be nil
	deleted        atomic.Int64                // runs, by all rules of keep
	leases         *leases                     // of SQLite, but beside another process; else nil
	busy           atomic.Int64                // when much arrived last, in nanoseconds since 1970
	dir            string                      // the data directory; empty for PostgreSQL
	name           string                      // of this server, among those on the database
	installation   string                      // the id of the database
	copiedAt       time.Time                   // see CopiedAt
	cache          *frameCache
	release        func() error // gives the data directory free
	leader         leader       // of PostgreSQL: see Lead
	jobLocks       jobLocks
	finalEvents    finalEvents // of PostgreSQL
	troubles       troubles
	secrets        secrets
	log            *slog.Logger
	now            func() time.Time
}

// dialect is what SQLite and PostgreSQL do differently once they are open.
type dialect struct {
	name     string
	postgres bool
	// lock ends a query that reads rows in order to change them.
	lock string
	// again reports whether a transaction failed only because of another one.
	again func(error) bool
}

// frameMemory bounds the cache of packed blocks.
const frameMemory = 32 << 20

// errAgain makes write begin the transaction again: another server created the same row.
var errAgain = errors.New("another server wrote the same row first")

// Open opens the database, brings its schema up to date and takes possession of the data
// directory. The error says what to do when the directory cannot be written, belongs to
// another server, or was written by a newer stint (*NewerSchemaError).
func Open(ctx context.Context, o Options) (*Store, error) {
	switch {
	case o.Dir != "" && o.URL != "":
		return nil, errors.New("a data directory and a database URL were both given: choose one")
	case o.URL == "" && o.Dir == "":
		return nil, errors.New("neither a data directory nor a database URL was given")
	}
	open := openSQLite
	if o.URL != "" {
		open = openPostgres
	}
	s, err := open(ctx, o)
	if err != nil {
		return nil, err
	}
	s.name, s.keep, s.onDeleted = uuid.NewString(), o.Keep, o.Deleted
	s.log, s.now = o.Log, o.Now
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.troubles = troubles{known: map[troubleKey]job.TroubledItem{}, failures: map[string]int64{}}
	s.archive, s.cache = o.Archive, newFrameCache(frameMemory)
	if s.installation, err = readInstallation(ctx, s.writer); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.readCopied(ctx, time.Now()); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.openSecrets(ctx, o.SecretKeyFile); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if !o.Beside {
		if err := s.raiseEventIDs(ctx, s.now()); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	if s.dir != "" && !o.Beside {
		if err := s.releaseRoutes(ctx); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

// Installation is the id of the database: all servers on it share it, and it stays when
// they are restarted, moved or restored from a backup.
func (s *Store) Installation() string { return s.installation }

// Close ends all use of the database.
func (s *Store) Close() error {
	err := errors.Join(s.leader.stop(), s.jobLocks.close(), s.closeLeases(), s.writer.Close())
	if s.segments != nil {
		err = errors.Join(err, s.segments.Close())
	}
	if s.reader != s.writer {
		err = errors.Join(s.reader.Close(), err)
	}
	return errors.Join(err, s.release())
}

// Ping reports whether the database answers and may be written to. It writes a row and
// takes it back.
func (s *Store) Ping(ctx context.Context) error {
	t, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("%s does not answer: %w", s.dialect.name, err)
	}
	_, err = t.ExecContext(ctx, `INSERT INTO jobs (name, next_number) VALUES ('', 1)`)
	if err = errors.Join(err, t.Rollback()); err != nil {
		return fmt.Errorf("%s cannot be written to: %w", s.dialect.name, err)
	}
	return nil
}

// write runs fn in one transaction and commits it. A transaction that lost against
// another server's is tried again from the start, so fn must be able to run twice.
func (s *Store) write(ctx context.Context, fn func(*tx) error) error {
	return s.writeRuns(ctx, nil, fn)
}

// writeRuns is write for a function that depends on the leases and owners of these runs only, and
// changes those of no others. Heartbeats of all other runs go on meanwhile.
func (s *Store) writeRuns(ctx context.Context, runs map[string]bool, fn func(*tx) error) error {
	const tries = 10
	for try := 1; ; try++ {
		err := s.writeOnce(ctx, runs, fn)
		if err == nil && s.prepared != nil {
			// What cannot be prepared now is parsed each time, as before.
			_ = s.prepared.prepare(context.WithoutCancel(ctx))
		}
		var begin *beginError
		if err == nil || try == tries || !errors.Is(err, errAgain) && !s.dialect.again(err) && !(s.dialect.postgres && errors.As(err, &begin)) {
			return err
		}
		pause := time.NewTimer(time.Duration(1+rand.IntN(5*try)) * time.Millisecond)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return err
		}
	}
}

// beginError is a transaction that has not begun. With PostgreSQL its connection was mostly made
// before a restart of the database; another one may be good.
type beginError struct{ error }

func (e *beginError) Unwrap() error { return e.error }

func (s *Store) writeOnce(ctx context.Context, runs map[string]bool, fn func(*tx) error) error {
	if s.leases == nil {
		return s.transact(ctx, fn)
	}
	return s.leases.write(ctx, runs, s.transact, fn)
}

func (s *Store) transact(ctx context.Context, fn func(*tx) error) error {
	begin, send := s.writer.BeginTx, (*pipeline)(nil)
	if s.dialect.postgres {
		conn, err := s.writer.Conn(ctx)
		if err != nil {
			return fmt.Errorf("begin a transaction in %s: %w", s.dialect.name, err)
		}
		defer conn.Close() //nolint:errcheck // it goes back to the others
		begin, send = conn.BeginTx, &pipeline{conn: conn}
	}
	t, err := begin(ctx, nil)
	if err != nil {
		return &beginError{fmt.Errorf("begin a transaction in %s: %w", s.dialect.name, err)}
	}
	err = fn(&tx{Tx: t, dialect: s.dialect, prepared: s.prepared, now: s.now, runLog: s.keep.RunLog, pipeline: send})
	if err := send.end(ctx, err); err != nil {
		if rerr := t.Rollback(); rerr != nil && !errors.Is(rerr, sql.ErrTxDone) {
			return errors.Join(err, fmt.Errorf("roll back: %w", rerr))
		}
		return err
	}
	if err := t.Commit(); err != nil {
		return fmt.Errorf("commit to %s: %w", s.dialect.name, err)
	}
	return nil
}

// micros is a time as the database keeps it.
func micros(t time.Time) int64 { return t.UnixMicro() }

func microsOrNull(t *time.Time) sql.NullInt64 {
	if t == nil {
		return sql.NullInt64{}
	}
	return sql.NullInt64{Int64: t.UnixMicro(), Valid: true}
}

func fromMicros(us int64) time.Time { return time.UnixMicro(us).UTC() }

func fromNull(us sql.NullInt64) *time.Time {
	if !us.Valid {
		return nil
	}
	t := fromMicros(us.Int64)
	return &t
}
