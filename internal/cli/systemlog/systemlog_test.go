package systemlog

import "testing"

// The log of the system takes what it can, and nobody waits for it for ever.
func TestLogEnds(t *testing.T) {
	l := &Log{}
	l.Start()
	for range 3 * mostLines {
		l.Add("a test of Stint\n")
	}
	l.End()
	select {
	case <-l.done:
	case <-t.Context().Done():
	}
	l.Add("after the end")
}
