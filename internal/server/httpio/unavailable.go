package httpio

import (
	"errors"
	"net"
	"syscall"
)

// unavailable reports whether an error of the store means that the database, or its disk,
// cannot do its work at the moment, so that the same request may succeed later. Any other
// error is a mistake of ours.
func unavailable(err error) bool {
	var network net.Error
	var errno syscall.Errno
	if errors.As(err, &network) || errors.As(err, &errno) {
		return true
	}
	var postgres interface{ SQLState() string }
	if errors.As(err, &postgres) {
		return awayState(postgres.SQLState())
	}
	var sqlite interface{ Code() int }
	return errors.As(err, &sqlite) && awayCode(sqlite.Code())
}

// awayState reports whether a state of PostgreSQL is of a class that passes: connection
// trouble, a transaction that lost, too few resources, an operator's intervention, trouble
// of the system.
func awayState(state string) bool {
	if len(state) != 5 {
		return false
	}
	switch state[:2] {
	case "08", "40", "53", "57", "58":
		return true
	}
	return state == "25006" // read-only: it is a standby now
}

// awayCode is the same for the codes of SQLite: busy, locked, out of memory, read-only,
// failed input or output, full, cannot be opened.
func awayCode(code int) bool {
	switch code & 0xff {
	case 5, 6, 7, 8, 10, 13, 14:
		return true
	}
	return false
}
