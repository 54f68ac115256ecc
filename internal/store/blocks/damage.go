package blocks

import (
	"errors"
	"io"

	"stint.dev/stint/journal"
)

// damagedError says that stored bytes were read and are not what was stored. It is none of
// a disk or a bucket that cannot be reached: those may be whole.
type damagedError struct{ why string }

func (e *damagedError) Error() string { return e.why }

// IsDamage reports whether an error says that stored bytes are not what was stored.
func IsDamage(err error) bool {
	var damaged *damagedError
	var corrupt *journal.CorruptError
	return errors.As(err, &damaged) || errors.As(err, &corrupt) || errors.Is(err, io.ErrUnexpectedEOF)
}
