package spool

import (
	"time"

	"stint.dev/stint/internal/agent/spool/disk"
	"stint.dev/stint/journal"
)

// segment is a run of whole records: a part of the journal with a file of its own. What is
// not on the disk (yet) is in memory.
type segment struct {
	start     int64 // journal offset; of a tail segment 0 until it gets its place
	size      int64
	written   int64 // how much of it is in the file
	held      int64 // memory taken by chunks
	chunks    []chunk
	file      disk.File
	name      string              // of the file; empty while there is none
	ready     int64               // bytes of the file that are allocated ahead
	released  bool                // the server has all of it, and what was not written never will be
	inPlace   bool                // the file has the name of its place
	at        journal.Checkpoint  // what stands before it
	counts    map[streamKey]count // of a tail segment
	number    int                 // of a tail segment
	startedAt time.Time           // of a tail segment
	dropped   bool                // of a tail segment: dropped
}

// chunk is memory with whole records or parts of them, at a place within a segment.
type chunk struct {
	at     int64
	data   []byte
	output bool
}

func (s *segment) end() int64 { return s.start + s.size }

// add appends a record, and returns the memory taken for it. With own, the record's memory
// becomes the segment's.
func (s *segment) add(rec []byte, output, own bool) int64 {
	before := s.held
	at := s.size
	s.size += int64(len(rec))
	if own {
		s.chunks = append(s.chunks, chunk{at: at, data: rec, output: output})
		s.held += int64(cap(rec))
		return s.held - before
	}
	for len(rec) > 0 {
		n := len(s.chunks)
		if n == 0 || s.chunks[n-1].output != output || len(s.chunks[n-1].data) == cap(s.chunks[n-1].data) {
			data := make([]byte, 0, max(chunkSize, min(len(rec), memorySegment)))
			s.chunks = append(s.chunks, chunk{at: at, data: data, output: output})
			s.held += int64(cap(data))
			n++
		}
		last := &s.chunks[n-1]
		took := min(len(rec), cap(last.data)-len(last.data))
		last.data = append(last.data, rec[:took]...)
		rec, at = rec[took:], at+int64(took)
	}
	return s.held - before
}

// chunkSize is the least memory taken at once.
const chunkSize = 8 << 10

// readChunks copies what chunks hold from a place within their segment on.
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

// inMemory reports whether memory holds the byte at a place.
func (s *segment) inMemory(from int64) bool {
	return len(s.chunks) > 0 && from >= s.chunks[0].at && from < s.size
}

// free lets go of the memory and returns how much it was.
func (s *segment) free() int64 {
	n := s.held
	s.chunks, s.held = nil, 0
	return n
}
