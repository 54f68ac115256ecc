package report

import (
	"io"
	"sync"
)

const (
	// maxTail is how much of the end of a run's output is kept: the most that the hosted Healthchecks takes.
	maxTail = 100_000
	// untoldTail is how much of it a server gets that does not say what it takes.
	untoldTail = 10_000
)

// Tail keeps the end of what a run prints. It is safe for concurrent use.
type Tail struct {
	mu   sync.Mutex
	kept []byte // of maxTail bytes at most; then a ring
	at   int    // where the oldest byte is, when it is full
}

// Write adds output. It never fails.
func (t *Tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(p)
	p = p[max(0, n-maxTail):]
	if room := min(maxTail-len(t.kept), len(p)); room > 0 {
		t.kept, p = append(t.kept, p[:room]...), p[room:]
	}
	for len(p) > 0 {
		copied := copy(t.kept[t.at:], p)
		t.at, p = (t.at+copied)%maxTail, p[copied:]
	}
	return n, nil
}

// Last returns the last bytes, n at most.
func (t *Tail) Last(n int) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := append(append(make([]byte, 0, len(t.kept)), t.kept[t.at:]...), t.kept[:t.at]...)
	return all[max(0, len(all)-n):]
}

// KeepTail returns where to write the output of an attempt that begins, as far as a Reporter sends it; nil if
// it sends none.
func KeepTail(r Reporter) io.Writer {
	h, ok := r.(*healthchecks)
	if !ok {
		return nil
	}
	t := &Tail{}
	h.tail.Store(t)
	return t
}
