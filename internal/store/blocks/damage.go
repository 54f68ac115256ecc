package blocks

import (
	"errors"
	"io"

	"stint.dev/stint/journal"
)

// damagedError is the error of stored bytes that were read and are not the bytes that were stored. A disk
// or bucket that cannot be reached has another error: its bytes may be intact.
type damagedError struct{ why string }

func (e *damagedError) Error() string { return e.why }

// IsDamage reports whether an error says that stored bytes are damaged.
func IsDamage(err error) bool {
	var damaged *damagedError
	var corrupt *journal.CorruptError
	return errors.As(err, &damaged) || errors.As(err, &corrupt) || errors.Is(err, io.ErrUnexpectedEOF)
}
