package maintenance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"stint.dev/stint/internal/clock"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/internal/store/troubled"
)

// packTimeout is the time for which a step reserves an attempt.
const packTimeout = 5 * time.Minute

// maxArchiveFailures is the number of objects in a row that may fail before a round ends: then the archive
// does not answer, and each further object would take a minute.
const maxArchiveFailures = 3

// maxChangesInRow is the number of steps in a row that may find changed blocks before a round ends. The
// attempts without changes were packed before.
const maxChangesInRow = 3

// packDue packs due attempts as long as canPack allows it, and reports whether none is left.
func (s *Maintenance) packDue(ctx context.Context, now time.Time, most int64, canPack func() bool) (all bool, err error) {
	failures, moved := 0, 0
	err = s.RunSteps(ctx, func() (bool, error) {
		if !canPack() {
			return false, nil
		}
		more, err := s.packOne(ctx, now, most)
		var away *archiveError
		switch {
		case errors.As(err, &away):
			if failures++; failures < maxArchiveFailures {
				err = nil
			}
		case errors.Is(err, errBlocksChanged):
			moved++
			return moved < maxChangesInRow, nil
		default:
			failures, moved = 0, 0
		}
		all = !more && err == nil
		return more, err
	})
	return all, err
}

// followClock makes attempts due again whose times a clock that was ahead has stored.
func (s *Maintenance) followClock(ctx context.Context) error {
	now := s.Now()
	latest := db.Micros(clock.LatestNow(now).Add(packTimeout)) // no attempt is due later than a reservation ends
	for _, column := range []string{"pack_at", "trim_at"} {
		due, err := db.QueryTexts(ctx, s.Reader, `SELECT run_id FROM attempts WHERE `+column+` > $1 LIMIT 1`, latest)
		if err == nil && len(due) > 0 {
			err = s.Change(ctx, "follow the clock", `UPDATE attempts SET `+column+` = $1 WHERE `+column+` > $2`, db.Micros(now), latest)
		}
		if err != nil {
			return fmt.Errorf("find journals whose time to pack or to trim was set by a clock that was ahead: %w", err)
		}
	}
	return nil
}

// reservePacking reserves a due attempt, so that no other server packs it. An attempt that is due to be
// trimmed is trimmed first, because that drops whole blocks, and packed ones are large.
func (s *Maintenance) reservePacking(ctx context.Context, now time.Time, most int64) (*packing, error) {
	p := packing{packer: uuid.NewString()}
	err := s.Reader.QueryRowContext(ctx, `SELECT run_id, attempt, pack_at FROM attempts
		WHERE pack_at <= $1 AND (trim_at IS NULL OR EXISTS (SELECT 1 FROM troubled WHERE kind = '`+troubled.Trim+`' AND troubled.id = `+tables.AttemptID+`))
		AND size - packed <= $3 AND`+troubled.NotPaused(troubled.Pack, tables.AttemptID, 2)+` ORDER BY pack_at LIMIT 1`, db.Micros(now), db.Micros(s.Now()), most).Scan(&p.key.Run, &p.key.Attempt, new(int64))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("select a journal to pack: %w", err)
	}
	err = s.Write(ctx, db.None, func(t *db.Tx) error {
		return t.QueryRowContext(ctx, `UPDATE attempts SET packer = $3, pack_at = $4
			WHERE run_id = $1 AND attempt = $2 AND pack_at <= $5 RETURNING packed`,
			p.key.Run, p.key.Attempt, p.packer, db.Micros(now.Add(packTimeout)), db.Micros(now)).Scan(&p.from)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil // another server was faster
	}
	if err != nil {
		return nil, fmt.Errorf("reserve a journal to pack: %w", err)
	}
	return &p, nil
}

// packOne packs a part of one due attempt that has at most most bytes to pack, and reports whether there was
// one. An attempt that cannot be packed is paused, so that the others get their turn. The error is
// *archiveError if the archive failed, and errBlocksChanged if the blocks changed: then the attempt is due
// again, after all others.
func (s *Maintenance) packOne(ctx context.Context, now time.Time, most int64) (bool, error) {
	p, err := s.reservePacking(ctx, now, most)
	if err != nil || p == nil {
		return false, err
	}
	err = s.pack(ctx, p, now)
	switch {
	case err == nil:
		s.ClearFailure(ctx, troubled.Pack, p.key.String())
		return true, nil
	case errors.Is(err, errBlocksChanged):
		s.ClearFailure(ctx, troubled.Pack, p.key.String())
		return s.releasePacking(ctx, p, now)
	}
	err = fmt.Errorf("pack the journal of run %s attempt %d from byte %d: %w", p.key.Run, p.key.Attempt, p.from, err)
	if skip := s.Skip(ctx, troubled.Pack, p.key.String(), err); skip != nil {
		return false, skip
	}
	var away *archiveError
	if errors.As(err, &away) {
		return true, err
	}
	return true, nil
}

// releasePacking releases the reservation of a step whose blocks changed, so that the next step can pack them.
// It returns errBlocksChanged if the step had the reservation until then.
func (s *Maintenance) releasePacking(ctx context.Context, p *packing, now time.Time) (bool, error) {
	var n int64
	err := s.Write(ctx, db.None, func(t *db.Tx) error {
		result, err := t.ExecContext(ctx, `UPDATE attempts SET packer = NULL, pack_at = $4 WHERE run_id = $1 AND attempt = $2 AND packer = $3`,
			p.key.Run, p.key.Attempt, p.packer, db.Micros(now))
		if err == nil {
			n, err = result.RowsAffected()
		}
		return err
	})
	if err != nil {
		return false, fmt.Errorf("release the reservation to pack run %s attempt %d: %w", p.key.Run, p.key.Attempt, err)
	}
	if n == 0 {
		return true, nil // it was deleted, or another server packs it
	}
	return true, errBlocksChanged
}

// archiveError is an error of the archive, which may not answer.
type archiveError struct{ error }

func (e *archiveError) Unwrap() error { return e.error }
