package store

import "stint.dev/stint/internal/store/datadir"

// What users of a store need to know of its parts.
type (
	// InUseError says that another server works in the data directory.
	InUseError = datadir.InUseError
	// LostDatabaseError says that a data directory has journals and no database.
	LostDatabaseError = datadir.LostDatabaseError
)
