package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"stint.dev/stint/internal/periodic"
	"stint.dev/stint/internal/store/datadir"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/job"
)

// countEpochsInterval is the interval at which the database and its data directory are counted up.
const countEpochsInterval = time.Minute

// FindRestored compares the epoch of the database with the one in its data directory. why says why the database is an
// older copy that was put back; it is empty if nothing shows that, as with PostgreSQL, which has no data directory. had
// is the epoch of the database.
func (s *Store) FindRestored(ctx context.Context) (had db.Epoch, why string, err error) {
	if had, err = s.Epoch(ctx); err != nil || s.dir == "" {
		return had, "", err
	}
	file, err := datadir.ReadEpoch(s.dir)
	var damaged *datadir.DamagedEpochError
	switch {
	case errors.Is(err, fs.ErrNotExist) && had.N == 0:
		return had, "", nil // a new data directory, or one of a version that did not count
	case errors.Is(err, fs.ErrNotExist):
		return had, "the data directory has no epoch file, so the database comes from another one", nil
	case errors.As(err, &damaged):
		return had, damaged.Error() + ", so nobody knows whether the database is an older copy", nil
	case err != nil:
		return had, "", datadir.Unusable(s.dir, err)
	case had.N < file:
		return had, fmt.Sprintf("its epoch is %d, and the server had counted to %d in this data directory", had.N, file), nil
	}
	return had, "", nil
}

// Restored is a database that was put back from an older copy.
type Restored struct {
	Why  string    // empty if nothing shows that it was
	From time.Time // when the copy was made, to the minute; zero if that is not known
	Held int64     // runs that wait in its queue
}

// HoldIfRestored holds the queue if the database was put back from an older copy: if its mark or its epoch show that, or
// the caller knows it. Call it before the server gives runs to workers, and Activate afterwards.
func (s *Store) HoldIfRestored(ctx context.Context, known bool) (r Restored, err error) {
	had, why, err := s.FindRestored(ctx)
	if err != nil {
		return r, err
	}
	r = Restored{Why: why, From: had.At}
	if copied := s.CopiedAt(); !copied.IsZero() {
		r = Restored{Why: "it was a copy, and is the original from now on", From: copied}
	} else if why == "" && known {
		r.Why = "--restored was given"
	}
	if r.Why == "" {
		return r, nil
	}
	r.Held, err = s.HoldRestored(ctx, heldText(r.From))
	return r, err
}

// heldText says why a run is held that waits in a database which was restored from a copy; made is when that was, or zero.
func heldText(made time.Time) string {
	if made.IsZero() {
		return "restored from an older copy, so it may have run since"
	}
	return "restored from a copy of " + job.TimeText(made) + ", so it may have run since"
}

// CountEpoch counts the database and its data directory up, durably. The file is written last, so that it is never ahead
// of the database that it belongs to.
func (s *Store) CountEpoch(ctx context.Context) error {
	if s.dir == "" {
		_, err := s.AdvanceEpoch(ctx, 0)
		return err
	}
	file, err := datadir.ReadEpoch(s.dir)
	var damaged *datadir.DamagedEpochError
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.As(err, &damaged) {
		return err
	}
	n, err := s.AdvanceEpoch(ctx, file)
	if err != nil {
		return err
	}
	return datadir.WriteEpoch(s.dir, n)
}

// CountEpochs counts the database and its data directory up at once, each minute until ctx ends, and then once more, so
// that an older copy of the database is recognised when it is put back. A failure, as of a full disk, ends nothing.
func (s *Store) CountEpochs(ctx context.Context) {
	failures := periodic.Failures{
		Log: s.Log, Failing: "the data directory could not be counted up: a copy of its database may not be recognised as one when it is put back",
		Working: "the data directory is counted up again",
	}
	periodic.Loop{Every: countEpochsInterval, Failures: failures}.Run(ctx, func(time.Time) error { return s.CountEpoch(ctx) })
	const limit = 5 * time.Second
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	if err := s.CountEpoch(ctx); err != nil {
		s.Log.Warn("the data directory could not be counted up at the end", "error", err)
	}
}
