package maintenance

import (
	"time"

	"stint.dev/stint/internal/store/db"
)

const (
	// unidentifiedTimeout is the time after its last append for which a journal is kept whose identity has
	// not arrived. An agent that returns later sends it from its beginning.
	unidentifiedTimeout = 24 * time.Hour
)

// attemptExpiry is the rule for such journals. Each of them may have as many bytes as a record.
var attemptExpiry = db.ExpiryRule{Table: "attempts", Key: "run_id, attempt", At: "unidentified_at", After: unidentifiedTimeout, Batch: 20}
