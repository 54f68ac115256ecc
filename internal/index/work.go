package index

import (
	"bytes"

	"stint.dev/stint/journal"
)

// Work of folding and storing records, in units of 100 ns. It depends on more than their size: 8 MiB of a journal are 8
// records of output, or 440,000 empty samples.
const (
	workRecord   = 1  // a frame with its checksum and digest
	workDocument = 20 // decoding a JSON payload, and storing its contents
	workValue    = 2  // each value in it
	workLookup   = 16 // the number of steps and streams that are searched in one unit
)

// work returns an estimate of the work of a record.
func (s *State) work(rec journal.Record) int {
	cost := workRecord + len(rec.Payload)>>10
	if rec.Type == journal.TypeOutput || !journal.Known(rec.Type) {
		return cost
	}
	cost += workDocument + len(rec.Payload)>>5 + workValue*values(rec.Payload)
	if rec.Type == journal.TypeStepStarted || rec.Type == journal.TypeStepEnded {
		cost += (len(s.View.Steps) + len(s.Streams)) / workLookup
	}
	return cost
}

// values returns an upper bound of the number of values in a JSON document.
func values(document []byte) int {
	return 1 + bytes.Count(document, []byte{','}) + bytes.Count(document, []byte{'['}) + bytes.Count(document, []byte{'{'})
}
