package maintenance

import (
	"time"

	"stint.dev/stint/internal/store/db"
)

const (
	// unidentifiedTimeout is how long a journal is kept after its last append whose identity has not
	// arrived whole, so that nobody knows whose it is. An agent that comes back later sends it
	// from its beginning.
	unidentifiedTimeout = 24 * time.Hour
)

// Each of these has up to a record's bytes with it.
var ExpiringAttempts = db.ExpiryRule{Table: "attempts", Key: "run_id, attempt", At: "unidentified_at", After: unidentifiedTimeout, Batch: 20}
