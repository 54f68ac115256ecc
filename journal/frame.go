package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

const (
	// Version is the format this package writes and the newest it reads.
	Version = 1
	// HeaderSize is the length of a journal's header.
	HeaderSize = 16
	// FrameSize is what a record takes beyond its payload.
	FrameSize = 17
	// MaxPayload bounds one record's payload, so that a reader can bound its memory.
	MaxPayload = 1 << 20
	// MaxRecord is the longest record, frame included.
	MaxRecord = FrameSize + MaxPayload
)

// magic begins every journal. The line ends in it show a transfer that rewrote them.
const magic = "STINTJ\r\n"

// Type is the type of a record's payload. A reader skips and counts types it does not know.
type Type byte

const (
	TypeAttempt     Type = 1 // identity of the attempt; the first record of every journal
	TypeStepStarted Type = 2
	TypeOutput      Type = 3 // raw bytes of one stream of one step
	TypeSample      Type = 4
	TypeNote        Type = 5
	TypeGap         Type = 6
	TypeStepEnded   Type = 7
	TypeOutcome     Type = 8 // how the attempt ended; the last record
	TypeStatus      Type = 9 // the job's own word about its progress
	TypeStopping    Type = 10
)

func (t Type) String() string {
	names := [...]string{
		TypeAttempt: "attempt", TypeStepStarted: "step_started", TypeOutput: "output",
		TypeSample: "sample", TypeNote: "note", TypeGap: "gap", TypeStepEnded: "step_ended",
		TypeOutcome: "outcome", TypeStatus: "status", TypeStopping: "stopping",
	}
	if int(t) < len(names) && names[t] != "" {
		return names[t]
	}
	return fmt.Sprintf("type %d", byte(t))
}

// Record is one entry of a journal. Payload may alias the buffer it was read from.
type Record struct {
	Type    Type
	At      time.Time // the agent's clock
	Payload []byte
}

// Size returns the record's length in the journal.
func (r Record) Size() int { return FrameSize + len(r.Payload) }

// ErrShort is the error of bytes that end inside a header or record: more are needed, or the end
// is torn.
var ErrShort = errors.New("journal ends inside a record")

// CorruptError is the error of bytes that are not a journal, and where.
type CorruptError struct {
	Offset int64 // of the header or record, from the start of the journal
	Why    string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("journal is corrupt at byte %d: %s", e.Offset, e.Why)
}

// NewerError is the error of a journal that was written by a later version of the format.
type NewerError struct{ Version int }

func (e *NewerError) Error() string {
	return fmt.Sprintf("journal has format version %d, and this program reads up to %d: use a newer stint", e.Version, Version)
}

// AppendHeader appends the header that begins a journal.
func AppendHeader(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, magic...)
	dst = binary.LittleEndian.AppendUint16(dst, Version)
	dst = binary.LittleEndian.AppendUint16(dst, 0)
	return binary.LittleEndian.AppendUint32(dst, checksum(dst[start:]))
}

// CheckHeader checks the header at the start of b. It returns ErrShort, *NewerError or
// *CorruptError.
func CheckHeader(b []byte) error {
	n := min(len(b), len(magic))
	if string(b[:n]) != magic[:n] {
		return &CorruptError{0, "it does not begin with the journal's mark"}
	}
	if len(b) < HeaderSize {
		return ErrShort
	}
	if checksum(b[:12]) != binary.LittleEndian.Uint32(b[12:]) {
		return &CorruptError{0, "the header's checksum does not match"}
	}
	switch v := int(binary.LittleEndian.Uint16(b[8:])); {
	case v > Version:
		return &NewerError{v}
	case v < 1:
		return &CorruptError{0, "format version 0 does not exist"}
	case b[10] != 0 || b[11] != 0:
		return &CorruptError{0, "the header's reserved bytes are not 0"}
	}
	return nil
}

// PutFrame writes the frame of a record whose payload is already at rec[FrameSize:],
// so that a producer can read output straight into place.
func PutFrame(rec []byte, t Type, at time.Time) {
	binary.LittleEndian.PutUint32(rec[4:], uint32(len(rec)-FrameSize))
	rec[8] = byte(t)
	binary.LittleEndian.PutUint64(rec[9:], uint64(at.UnixNano()))
	binary.LittleEndian.PutUint32(rec, checksum(rec[4:]))
}

// AppendRecord appends r to dst. It panics if the payload is longer than MaxPayload: only
// a caller's mistake can make one.
func AppendRecord(dst []byte, r Record) []byte {
	if len(r.Payload) > MaxPayload {
		panic(fmt.Sprintf("journal: payload of %d bytes in a %s record", len(r.Payload), r.Type))
	}
	start := len(dst)
	dst = append(dst, make([]byte, FrameSize)...)
	dst = append(dst, r.Payload...)
	PutFrame(dst[start:], r.Type, r.At)
	return dst
}

// Next reads the record at the start of b and returns it with its length. The payload
// aliases b. It returns ErrShort when b ends inside the record, and *CorruptError, with
// offset as the place, when no record can begin with these bytes.
func Next(b []byte, offset int64) (Record, int, error) {
	if len(b) < FrameSize {
		return Record{}, 0, ErrShort
	}
	length := binary.LittleEndian.Uint32(b[4:])
	if length > MaxPayload {
		return Record{}, 0, &CorruptError{offset, fmt.Sprintf("a record claims %d bytes of payload; the most is %d", length, MaxPayload)}
	}
	if b[8] == 0 {
		return Record{}, 0, &CorruptError{offset, "record type 0 does not exist"}
	}
	n := FrameSize + int(length)
	if len(b) < n {
		return Record{}, 0, ErrShort
	}
	if checksum(b[4:n]) != binary.LittleEndian.Uint32(b) {
		return Record{}, 0, &CorruptError{offset, "a record's checksum does not match"}
	}
	at := time.Unix(0, int64(binary.LittleEndian.Uint64(b[9:]))).UTC()
	return Record{Type: Type(b[8]), At: at, Payload: b[FrameSize:n:n]}, n, nil
}
