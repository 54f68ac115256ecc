package store

import (
	"stint.dev/stint/internal/store/blocks"
	"stint.dev/stint/internal/store/datadir"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/maintenance"
)

// Types of the parts that users of a store need.
type (
	// Archive is where packed journals go. internal/archive implements it.
	Archive = blocks.Archive
	// Keep limits what is kept. Zero means no limit.
	Keep = maintenance.Keep
	// InUseError is the error of a data directory that another server uses.
	InUseError = datadir.InUseError
	// LostDatabaseError is the error of a data directory that has journals and no database.
	LostDatabaseError = datadir.LostDatabaseError
	// NewerSchemaError is the error of a database that a newer stint has written.
	NewerSchemaError = db.NewerSchemaError
	// OlderSchemaError is the error of a database that an older stint has written, and that a
	// server of that version may be using.
	OlderSchemaError = db.OlderSchemaError
)
