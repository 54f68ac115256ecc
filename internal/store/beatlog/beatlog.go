// Package beatlog keeps heartbeats durable at the cost of one small write for many. It is a
// file of fixed size that is written from its beginning again and again: what it holds is
// needed only until the database has it too.
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

// Size is what the file has on disk, from the first: 20,000 heartbeats and more.
const Size = 4 << 20

// A record is its length, a checksum of all that follows, the generation, and a beat. With
// each Reset a new generation begins at the start of the file; the first record of another
// one ends it.
const (
	headSize  = 4 + 4 + 8
	maxRecord = 1 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Beat is one heartbeat as the server took it.
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
	at         int64
	buf        []byte
}

// ErrFull says that the log has no room for these heartbeats before a Reset.
var ErrFull = errors.New("the log of heartbeats is full")

// Open opens the log at a path, makes it if it is missing, and returns the heartbeats that
// it holds, in their order. Relaxed does not wait for the disk at every Append.
func Open(path string, relaxed bool) (*Log, []Beat, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("open the log of heartbeats: %w", err)
	}
	held, err := io.ReadAll(io.LimitReader(f, Size))
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("read the log of heartbeats %s: %w", path, err), f.Close())
	}
	beats := decode(held)
	// By chance, so that no record of an earlier opening can be taken for one of this.
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

// Append makes heartbeats durable. After an error nothing is known of them, and the log
// takes no more until the next Reset.
func (l *Log) Append(beats []Beat) error {
	l.buf = l.buf[:0]
	for i := range beats {
		l.buf = appendRecord(l.buf, l.generation, &beats[i])
	}
	if l.at+int64(len(l.buf)) > Size {
		return ErrFull
	}
	_, err := l.file.WriteAt(l.buf, l.at)
	if err == nil && !l.relaxed {
		err = durable.Data(l.file)
	}
	if err != nil {
		l.at = Size
		return fmt.Errorf("write %d heartbeats to %s: %w", len(beats), l.file.Name(), err)
	}
	l.at += int64(len(l.buf))
	return nil
}

// Full reports whether a Reset is due.
func (l *Log) Full() bool { return l.at > Size/2 }

// Reset forgets what the log holds, because the database has it.
func (l *Log) Reset() {
	if l.at > 0 {
		l.generation++
		l.at = 0
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
