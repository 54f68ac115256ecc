package index

import (
	"bytes"
	"strings"

	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// IdentityIn is the identity record with which the first block of a journal begins; false
// when data does not begin so.
func IdentityIn(data []byte) (journal.Attempt, bool) {
	var a journal.Attempt
	rec, _, err := journal.Next(data, journal.HeaderSize)
	if err != nil || rec.Type != journal.TypeAttempt || journal.Decode(rec, &a) != nil {
		return a, false
	}
	return a, true
}

// LastLines are the last lines that records of a journal printed on stderr, or on either
// stream when stderr has none. data begins with a whole record; no line is longer than
// most bytes.
func LastLines(data []byte, lines, most int) []string {
	var all, errs bytes.Buffer
	for len(data) > 0 {
		rec, n, err := journal.Next(data, journal.HeaderSize)
		if err != nil {
			break
		}
		data = data[n:]
		if rec.Type != journal.TypeOutput {
			continue
		}
		o, err := journal.DecodeOutput(rec)
		if err != nil {
			continue
		}
		if o.Stream == job.Stderr {
			errs.Write(o.Data)
		}
		all.Write(o.Data)
	}
	if strings.TrimSpace(errs.String()) != "" {
		return tailLines(errs.String(), lines, most)
	}
	return tailLines(all.String(), lines, most)
}

func tailLines(text string, lines, most int) []string {
	var out []string
	for line := range strings.SplitSeq(text, "\n") {
		if at := strings.LastIndexByte(strings.TrimRight(line, "\r"), '\r'); at >= 0 {
			line = line[at+1:] // a progress bar shows what came last
		}
		if strings.TrimSpace(line) != "" {
			out = append(out, Cut(line, most))
		}
	}
	return out[max(0, len(out)-lines):]
}
