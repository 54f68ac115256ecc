package maintenance

import (
	"time"

	"stint.dev/stint/internal/store/db"
)

const (
	// identityWait is how long a journal is kept after its last append whose identity has not
	// arrived whole, so that nobody knows whose it is. An agent that comes back later sends it
	// from its beginning.
	identityWait = 24 * time.Hour
)

// Each of these has up to a record's bytes with it.
var ExpiringAttempts = db.Expiring{Table: "attempts", Key: "run_id, attempt", At: "unidentified_at", After: identityWait, Batch: 20}
