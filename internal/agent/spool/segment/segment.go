// Package segment holds the segments of a journal in memory and in files: those with a place in the
// journal (Placed), those of the newest output, which has no place yet (Tail), and the writer of the
// files (Writer).
//
// # The life of a segment
//
//	open ──▶ placed ──▶ written ──▶ delivered ──▶ removed
//
//	tail ──▶ moving ──▶ placed
//	  │         └─────▶ dropped
//	  └───────────────▶ dropped
//
// In the terms of Journal, of package spool:
//
//	Append, and Output while there is room          Output beyond that
//	        │ Placed.Append                                │ Tail.Append
//	        ▼                                              ▼
//	    placed, in memory                          in the tail, in memory
//	        │                                              │
//	        │ writePlaced                                  │ writeTail
//	        ▼                   moveOldest                 ▼
//	    placed, in its file ◀── a gap, then a segment ── in the tail, in its file
//	        │                   (writePlaced renames it)   │
//	        │ Acknowledge                                  │ too much of it: DropOldest
//	        ▼                                              ▼
//	    the server has it                          counted in a gap
//	        │ deleteDelivered: checkpoint                  │ writeNote: tail.json,
//	        ▼ in meta.json, then the file                  ▼ then the file
//	    removed                                        removed
//
// What memory holds of a placed segment is also released when the server has it while the disk
// cannot be written (Placed.Release); such a segment comes to no file, and is removed next.
//
// The order of calls to the disk makes a journal recoverable at every moment: placed segments
// are written in order, each whole before the next; tail.json is written before a segment or
// record that it names is placed or removed, and meta.json before segments are removed.
//
// All types are guarded by the mutex of the journal; the Writer gives it up for calls to the disk.
package segment

import (
	"time"

	"stint.dev/stint/internal/agent/spool/disk"
	"stint.dev/stint/journal"
)

// Segment is a run of whole records: a part of the journal with a file of its own. What is
// not on the disk (yet) is in memory.
type Segment struct {
	Start    int64 // journal offset; of a tail segment 0 until it gets its place
	Size     int64
	Written  int64 // how much of it is in the file
	Held     int64 // memory taken
	File     disk.File
	Name     string             // of the file; empty while there is none
	Ready    int64              // bytes of the file that are allocated ahead
	Released bool               // the server has all of it, and what was not written never will be
	InPlace  bool               // the file has the name of its place
	At       journal.Checkpoint // what precedes it

	// Of a segment of the tail.
	Counts    map[Stream]Count
	Number    int
	StartedAt time.Time
	Dropped   bool

	chunks []chunk
}

// chunk is memory with whole records or parts of them, at a place within a segment.
type chunk struct {
	at     int64
	data   []byte
	output bool
}

const (
	// chunkSize is the least memory taken at once.
	chunkSize = 8 << 10
	// MemorySize is the size of segments that may stay in memory, because memory is given back by
	// whole segments.
	MemorySize = 256 << 10
)

// End returns the journal offset behind it.
func (s *Segment) End() int64 { return s.Start + s.Size }

// Add appends a record, and returns the memory taken for it. With own, the record's memory
// becomes the segment's.
func (s *Segment) Add(rec []byte, output, own bool) int64 {
	before := s.Held
	at := s.Size
	s.Size += int64(len(rec))
	if own {
		s.chunks = append(s.chunks, chunk{at: at, data: rec, output: output})
		s.Held += int64(cap(rec))
		return s.Held - before
	}
	for len(rec) > 0 {
		n := len(s.chunks)
		if n == 0 || s.chunks[n-1].output != output || len(s.chunks[n-1].data) == cap(s.chunks[n-1].data) {
			data := make([]byte, 0, max(chunkSize, min(len(rec), MemorySize)))
			s.chunks = append(s.chunks, chunk{at: at, data: data, output: output})
			s.Held += int64(cap(data))
			n++
		}
		last := &s.chunks[n-1]
		took := min(len(rec), cap(last.data)-len(last.data))
		last.data = append(last.data, rec[:took]...)
		rec, at = rec[took:], at+int64(took)
	}
	return s.Held - before
}

// Unwritten returns the next data for the file, and whether it is output; false when memory does
// not hold what belongs there.
func (s *Segment) Unwritten() (data []byte, output, ok bool) {
	for _, c := range s.chunks {
		if c.at+int64(len(c.data)) > s.Written {
			return c.data[s.Written-c.at:], c.output, true
		}
	}
	return nil, false, false
}

// FreeWritten gives back the memory of what is in the file, and returns how much it was. recycle
// gets each piece.
func (s *Segment) FreeWritten(recycle func([]byte)) (freed int64) {
	for len(s.chunks) > 0 {
		c := s.chunks[0]
		if c.at+int64(len(c.data)) > s.Written {
			return freed
		}
		s.chunks = s.chunks[1:]
		s.Held -= int64(cap(c.data))
		freed += int64(cap(c.data))
		recycle(c.data)
	}
	s.chunks = nil
	return freed
}

// Free gives back all memory and returns how much it was.
func (s *Segment) Free() int64 {
	n := s.Held
	s.chunks, s.Held = nil, 0
	return n
}

// InMemory reports whether memory holds the byte at a place within the segment.
func (s *Segment) InMemory(from int64) bool {
	return len(s.chunks) > 0 && from >= s.chunks[0].at && from < s.Size
}

// ReadMemory copies what memory holds from a place within the segment on.
func (s *Segment) ReadMemory(p []byte, from int64) int { return readChunks(s.chunks, p, from) }

func readChunks(chunks []chunk, p []byte, from int64) int {
	done := 0
	for _, c := range chunks {
		at := from + int64(done) - c.at
		if at < 0 || at >= int64(len(c.data)) {
			continue
		}
		if done += copy(p[done:], c.data[at:]); done == len(p) {
			break
		}
	}
	return done
}
