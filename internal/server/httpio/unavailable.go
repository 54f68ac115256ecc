package httpio

import (
	"errors"
	"net"
	"syscall"
)

// isUnavailable reports whether an error of the store means that the database or its disk is not
// available at the moment, so that the same request may succeed later.
func isUnavailable(err error) bool {
	var network net.Error
	var errno syscall.Errno
	if errors.As(err, &network) || errors.As(err, &errno) {
		return true
	}
	var postgres interface{ SQLState() string }
	if errors.As(err, &postgres) {
		return isTemporaryState(postgres.SQLState())
	}
	var sqlite interface{ Code() int }
	return errors.As(err, &sqlite) && isTemporaryCode(sqlite.Code())
}

// isTemporaryState reports whether a state of PostgreSQL belongs to a class of temporary errors:
// connection exception, transaction rollback, insufficient resources, operator intervention, system
// error.
func isTemporaryState(state string) bool {
	if len(state) != 5 {
		return false
	}
	switch state[:2] {
	case "08", "40", "53", "57", "58":
		return true
	}
	return state == "25006" // read-only, because it is a standby
}

// isTemporaryCode reports whether a code of SQLite is one of a temporary error: busy, locked, out of
// memory, read-only, failed input or output, full, cannot be opened.
func isTemporaryCode(code int) bool {
	switch code & 0xff {
	case 5, 6, 7, 8, 10, 13, 14:
		return true
	}
	return false
}
