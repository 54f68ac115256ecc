package servercmd

import (
	"context"
	"errors"
	"time"

	"stint.dev/stint/internal/store"
)

// restoredCopy returns when the copy was made that the server starts on, and logs a warning;
// zero for an original, which Activate makes of a copy. On a copy nothing happens by itself: a
// server that is started on a backup to test it must not notify people of old problems, end
// runs that the real server watches, or delete objects of its archive.
//
// The queue of an original that was a copy, or was put back in another way, is held: what waits in it may have run.
func restoredCopy(ctx context.Context, db *store.Store, cfg serveConfig) (time.Time, error) {
	at := db.CopiedAt()
	if !at.IsZero() && !cfg.Activate {
		if cfg.Restored {
			return at, errors.New("--restored was given, and the database is a copy that was not activated: stop the server that it was copied from, and start this one with --activate, which holds the queue too")
		}
		cfg.Log.Warn("RESTORED COPY: nothing is sent, judged, canceled, retried, packed or deleted; to make it the original, stop the server that it was copied from, and start this one with --activate",
			"copied_at", at)
		return at, nil
	}
	restored, err := db.HoldIfRestored(ctx, cfg.Restored)
	if err != nil {
		return at, err
	}
	if restored.Why != "" {
		cfg.Log.Warn("RESTORED DATABASE: the runs in its queue are held until somebody releases them with stint queue release, because they may have run since",
			"why", restored.Why, "from", restored.From, "held", restored.Held)
	}
	if at.IsZero() {
		return at, nil
	}
	return time.Time{}, db.Activate(ctx)
}
