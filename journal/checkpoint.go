package journal

import (
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

// Checkpoint is all that must be known of a journal's beginning so that the rest can be
// recovered and completed without it.
type Checkpoint struct {
	Size    int64     `json:"size"` // of the beginning: where the rest starts
	Attempt Attempt   `json:"attempt"`
	Open    int       `json:"open"` // index of a step that began and did not end; -1 for none
	LastAt  time.Time `json:"last_at"`
	Digest  []byte    `json:"digest"` // the digester's state
}

// NewRecovered returns what is known of a journal that holds only its header.
func NewRecovered() Recovered {
	out := Recovered{Open: -1, Size: HeaderSize, digest: NewDigester()}
	out.digest.Header(AppendHeader(nil))
	return out
}

// Checkpoint returns the state of r, in a form that can be stored.
func (r *Recovered) Checkpoint() (Checkpoint, error) {
	state, err := r.digest.MarshalBinary()
	if err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint of a journal: %w", err)
	}
	return Checkpoint{Size: r.Size, Attempt: r.Attempt, Open: r.Open, LastAt: r.LastAt, Digest: state}, nil
}

// RecoverFrom is Recover for a journal whose beginning is known by a checkpoint; src holds
// what follows it.
func RecoverFrom(c Checkpoint, src io.Reader) (Recovered, error) {
	out := Recovered{Size: c.Size, Attempt: c.Attempt, Open: c.Open, LastAt: c.LastAt, digest: &Digester{}}
	if err := out.digest.UnmarshalBinary(c.Digest); err != nil {
		return out, err
	}
	err := out.recover(src)
	return out, err
}

// Take notes one more whole encoded record, which its caller has just made: its checksum is
// not looked at. It fails for a payload that no writer makes.
func (r *Recovered) Take(encoded []byte) error {
	rec := Record{
		Type:    Type(encoded[8]),
		At:      time.Unix(0, int64(binary.LittleEndian.Uint64(encoded[9:]))).UTC(),
		Payload: encoded[FrameSize:],
	}
	if r.Ended {
		return ErrEnded
	}
	if !r.take(rec) {
		return &CorruptError{r.Size, fmt.Sprintf("the payload of a %s record cannot be read", rec.Type)}
	}
	r.digest.Record(encoded)
	r.LastAt = rec.At
	r.Size += int64(len(encoded))
	return nil
}

// TakeFrame notes an output record of which only the frame is at hand.
func (r *Recovered) TakeFrame(frame []byte) {
	r.digest.Record(frame)
	r.LastAt = time.Unix(0, int64(binary.LittleEndian.Uint64(frame[9:]))).UTC()
	r.Size += int64(FrameSize) + int64(binary.LittleEndian.Uint32(frame[4:]))
}

// Finish encodes the outcome with the length and digest of everything before it.
func (r *Recovered) Finish(at time.Time, f Final) ([]byte, error) {
	f.Bytes, f.Digest = r.Size, r.digest.Sum()
	rec, err := JSONRecord(TypeOutcome, at, f)
	if err != nil {
		return nil, err
	}
	return AppendRecord(nil, rec), nil
}

// WholeRecords returns how many of the bytes at an offset of a journal are whole records, the
// header counted as one. It reads their lengths alone and verifies no checksums.
func WholeRecords(b []byte, offset int64) int {
	n := 0
	if offset == 0 {
		if len(b) < HeaderSize {
			return 0
		}
		n = HeaderSize
	}
	for len(b)-n >= FrameSize {
		length := int64(binary.LittleEndian.Uint32(b[n+4:]))
		if length > MaxPayload || b[n+8] == 0 || int64(len(b)-n) < FrameSize+length {
			break
		}
		n += FrameSize + int(length)
	}
	return n
}

// WholeRecordsIn is WholeRecords of what src holds from offset to offset+size, of which it
// reads little more than the frames.
func WholeRecordsIn(src io.ReaderAt, offset, size int64) (int64, error) {
	var window [4 << 10]byte
	var b []byte      // what was read last
	var from, n int64 // offset of b, and how much is whole
	if offset == 0 {
		if size < HeaderSize {
			return 0, nil
		}
		n = HeaderSize
	}
	for size-n >= FrameSize {
		if n-from+FrameSize > int64(len(b)) {
			from, b = n, window[:min(int64(len(window)), size-n)]
			if got, err := src.ReadAt(b, offset+n); got < len(b) {
				return 0, err
			}
		}
		frame := b[n-from:]
		length := int64(binary.LittleEndian.Uint32(frame[4:]))
		if length > MaxPayload || frame[8] == 0 || size-n < FrameSize+length {
			break
		}
		n += FrameSize + length
	}
	return n, nil
}
