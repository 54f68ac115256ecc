// Package beatlog makes many heartbeats durable with one small write. The log is a file of fixed size with two
// halves that are written in turns: a half is needed until the database has its heartbeats, and meanwhile
// the other half takes new ones.
package beatlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"stint.dev/stint/internal/store/durable"
	"stint.dev/stint/job"
)

// Size is the size of the file, which is allocated at once: each half has room for 10,000
// heartbeats and more.
const (
	Size = 4 << 20
	half = Size / 2
)

// A record is its length, a checksum of all that follows, the generation, and a beat. With
// each SwitchHalf and Reset a new generation begins at the start of a half; the first record of another
// one ends it.
const (
	headSize  = 4 + 4 + 8
	maxRecord = 1 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Beat is a heartbeat as the server received it.
type Beat struct {
	Run       string
	Attempt   int
	Heartbeat job.Heartbeat
	At        time.Time     // the server's clock, to the microsecond
	Lease     time.Duration // to the microsecond
}

// Log is an open file. It has one user at a time.
type Log struct {
	file       *os.File
	relaxed    bool
	generation uint64
	start, at  int64 // of the current half: its beginning, and the end of its records
	behind     bool  // the other half may hold heartbeats that the database does not have
	buf        []byte
}

// ErrFull says that the log has no room for these heartbeats before a SwitchHalf or Reset.
var ErrFull = errors.New("the log of heartbeats is full")

// Open opens the log at a path, creates it if it is missing, and returns its heartbeats, those of each half in
// their order. A relaxed log does not wait for the disk at each Append.
func Open(path string, relaxed bool) (*Log, []Beat, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("open the log of heartbeats: %w", err)
	}
	held, err := io.ReadAll(io.LimitReader(f, Size))
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("read the log of heartbeats %s: %w", path, err), f.Close())
	}
	beats := decode(held[:min(half, len(held))])
	if len(held) > half {
		beats = append(beats, decode(held[half:])...)
	}
	// A random number, so that no record of an earlier process is taken for one of this.
	l := &Log{file: f, relaxed: relaxed, generation: rand.Uint64()}
	if len(held) < Size {
		if err := l.allocate(int64(len(held))); err != nil {
			return nil, nil, errors.Join(fmt.Errorf("make the log of heartbeats %s: %w", path, err), f.Close())
		}
	}
	return l, beats, nil
}

// allocate gives the file its whole size, so that no later write of it needs room on the disk
// or changes what the file system has to know.
func (l *Log) allocate(from int64) error {
	if _, err := l.file.WriteAt(make([]byte, Size-from), from); err != nil {
		return err
	}
	if err := l.file.Sync(); err != nil {
		return err
	}
	return durable.Dir(filepath.Dir(l.file.Name()))
}

// Append makes heartbeats durable. After an error it is not known whether they are, and the half takes no more.
func (l *Log) Append(beats []Beat) error {
	l.buf = l.buf[:0]
	for i := range beats {
		l.buf = appendRecord(l.buf, l.generation, &beats[i])
	}
	if l.at+int64(len(l.buf)) > l.start+half {
		return ErrFull
	}
	_, err := l.file.WriteAt(l.buf, l.at)
	if err == nil && !l.relaxed {
		err = durable.Data(l.file)
	}
	if err != nil {
		l.at = l.start + half
		return fmt.Errorf("write %d heartbeats to %s: %w", len(beats), l.file.Name(), err)
	}
	l.at += int64(len(l.buf))
	return nil
}

// IsDue reports whether the heartbeats in the log should be stored in the database: the current half
// is half full, or the other half has heartbeats that are not stored.
func (l *Log) IsDue() bool { return l.behind || l.at-l.start > half/2 }

// SwitchHalf makes the next heartbeats go to the other half, unless that may have heartbeats that are
// not stored in the database.
func (l *Log) SwitchHalf() {
	if l.behind || l.at == l.start {
		return
	}
	l.generation++
	l.start = half - l.start
	l.at, l.behind = l.start, true
}

// MarkStored records that the database has all that was in the log before the last SwitchHalf.
func (l *Log) MarkStored() { l.behind = false }

// Reset empties the log, because the database has all its heartbeats.
func (l *Log) Reset() {
	l.behind = false
	if l.at > l.start {
		l.generation++
		l.at = l.start
	}
}

// Close closes the file.
func (l *Log) Close() error { return l.file.Close() }

func appendRecord(buf []byte, generation uint64, b *Beat) []byte {
	start := len(buf)
	buf = append(buf, make([]byte, 8)...)
	buf = binary.LittleEndian.AppendUint64(buf, generation)
	buf = appendBeat(buf, b)
	binary.LittleEndian.PutUint32(buf[start:], uint32(len(buf)-start))
	binary.LittleEndian.PutUint32(buf[start+4:], crc32.Checksum(buf[start+8:], castagnoli))
	return buf
}

// decode reads records up to the first that is damaged, torn, or of another generation than
// the first one is.
func decode(held []byte) (beats []Beat) {
	var generation uint64
	for len(held) >= headSize {
		size := binary.LittleEndian.Uint32(held)
		if size < headSize || size > maxRecord || int(size) > len(held) {
			break
		}
		if crc32.Checksum(held[8:size], castagnoli) != binary.LittleEndian.Uint32(held[4:]) {
			break
		}
		of := binary.LittleEndian.Uint64(held[8:])
		if len(beats) > 0 && of != generation {
			break
		}
		b, ok := readBeat(held[headSize:size])
		if !ok {
			break
		}
		beats, generation = append(beats, b), of
		held = held[size:]
	}
	return beats
}
