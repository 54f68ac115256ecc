package store

import (
	"stint.dev/stint/internal/store/blocks"
	"stint.dev/stint/internal/store/datadir"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/maintenance"
)

// What users of a store need to know of its parts.
type (
	// Archive is where packed journals go. internal/archive implements it.
	Archive = blocks.Archive
	// Keep says how much is kept. A zero is no limit.
	Keep = maintenance.Keep
	// InUseError says that another server works in the data directory.
	InUseError = datadir.InUseError
	// LostDatabaseError says that a data directory has journals and no database.
	LostDatabaseError = datadir.LostDatabaseError
	// NewerSchemaError says that a newer stint has written the database.
	NewerSchemaError = db.NewerSchemaError
	// OlderSchemaError says that an older stint has written the database, and that a server of
	// that version may be working on it.
	OlderSchemaError = db.OlderSchemaError
)
