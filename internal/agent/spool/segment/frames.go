package segment

import (
	"encoding/binary"
	"errors"
	"io"
	"math"

	"stint.dev/stint/internal/agent/spool/disk"
	"stint.dev/stint/journal"
)

// Reader reads a segment to which nothing is appended any more: the part that is in the file, and
// the rest in memory.
type Reader struct {
	file    disk.File
	written int64
	chunks  []chunk
}

// Reader returns a reader of the segment as it is now.
func (s *Segment) Reader() Reader { return Reader{s.File, s.Written, s.chunks} }

// ReadAt reads from a place within the segment.
func (r Reader) ReadAt(p []byte, from int64) (int, error) {
	n := 0
	if from < r.written {
		n = int(min(int64(len(p)), r.written-from))
		if got, err := r.file.ReadAt(p[:n], from); err != nil {
			return got, err
		}
	}
	if n += readChunks(r.chunks, p[n:], from+int64(n)); n < len(p) {
		return n, io.ErrUnexpectedEOF
	}
	return n, nil
}

// ReadFrames reads the frames of whole records, of a size together.
func ReadFrames(src io.ReaderAt, size int64) ([]byte, error) {
	var out []byte
	buf := make([]byte, 64<<10)
	var from, have int64 // buf holds what is at from
	for at := int64(0); at < size; {
		if at < from || at+journal.FrameSize > from+have {
			from, have = at, min(int64(len(buf)), size-at)
			if _, err := src.ReadAt(buf[:have], from); err != nil {
				return nil, err
			}
		}
		if at+journal.FrameSize > from+have {
			return nil, io.ErrUnexpectedEOF
		}
		frame := buf[at-from : at-from+journal.FrameSize]
		out = append(out, frame...)
		at += journal.FrameSize + int64(binary.LittleEndian.Uint32(frame[4:]))
	}
	return out, nil
}

// CountOutput counts the whole records of a segment from the tail, and returns their size.
func CountOutput(f io.ReaderAt) (size int64, counts map[Stream]Count, err error) {
	counts = map[Stream]Count{}
	r := journal.NewReaderAt(io.NewSectionReader(f, 0, math.MaxInt64), journal.HeaderSize)
	for {
		rec, err := r.Next()
		var corrupt *journal.CorruptError
		if errors.Is(err, io.EOF) || errors.Is(err, journal.ErrShort) || errors.As(err, &corrupt) {
			return size, counts, nil
		}
		if err != nil {
			return 0, nil, err
		}
		o, err := journal.DecodeOutput(rec)
		if err != nil || rec.Type != journal.TypeOutput {
			return size, counts, nil
		}
		key := Stream{o.Step, o.Stream}
		counts[key] = counts[key].plus(Count{int64(len(o.Data)), lines(o.Data)})
		size += int64(rec.Size())
	}
}
