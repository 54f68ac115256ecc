package spool

import (
	"errors"

	"stint.dev/stint/journal"
)

// DropTail drops the newest output, which has no place yet, and returns its size: the server has
// more of the journal than this host, and the tail does not continue that.
func (j *Journal) DropTail() (bytes int64) {
	j.mu.Lock()
	bytes = j.tail.DropAll("the host went down")
	j.mu.Unlock()
	j.wake()
	return bytes
}

// Extend appends whole records that the server has and this host lost.
func (j *Journal) Extend(data []byte) (used int, err error) {
	j.mu.Lock()
	for err == nil {
		_, n, nextErr := journal.Next(data[used:], j.placed.State.Size)
		if errors.Is(nextErr, journal.ErrShort) {
			break
		}
		if err = nextErr; err == nil {
			if err = j.appendPlaced(data[used:used+n], false); err == nil {
				used += n
			}
		}
	}
	j.mu.Unlock()
	j.wake()
	return used, err
}

// Recovered returns what is known of the records of the journal.
func (j *Journal) Recovered() journal.Recovered {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.placed.State
}
