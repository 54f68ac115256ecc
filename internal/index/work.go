package index

import (
	"bytes"

	"stint.dev/stint/journal"
)

// Work that records cost whoever folds and stores them, in units of 100 ns. Bytes alone say
// little: 8 MiB of journal are 8 records of output, or 440,000 of samples that say nothing.
const (
	workRecord   = 1  // a frame with its checksum and digest
	workDocument = 20 // reading a JSON payload, and keeping what it says
	workValue    = 2  // each value in it
	workLookup   = 16 // steps and streams that are gone through in one unit
)

// work estimates what a record costs.
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

// values is how many values a JSON document has at most: what is in its texts counts too.
func values(document []byte) int {
	return 1 + bytes.Count(document, []byte{','}) + bytes.Count(document, []byte{'['}) + bytes.Count(document, []byte{'{'})
}
