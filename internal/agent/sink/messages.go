package sink

import (
	"os"
	"sync"
	"time"
)

const (
	// maxMessages and maxBytes bound what waits for a reader that does not read.
	maxMessages = 256
	maxBytes    = 64 << 10
)

// Messages writes messages for people to a file without ever making the sender wait. What
// finds no room while the file cannot be written is dropped and counted, and the count is
// written as soon as it can be.
//
// The goroutine that writes exists only while there is something to write. A write that
// blocks in the kernel holds it until the reader goes on or the process exits.
type Messages struct {
	file *os.File
	// dropNote makes the message that says how many were dropped.
	dropNote func(dropped int) string

	mu      sync.Mutex
	queue   []message
	bytes   int           // in the queue
	dropped int           // since the newest message in the queue
	idle    chan struct{} // closed when the goroutine ends; nil without one
}

// message is one that waits.
type message struct {
	text  string
	count int // how many messages are lost with it: more than 1 for a note about dropped ones
}

// NewMessages makes a queue for a file.
func NewMessages(file *os.File, dropNote func(dropped int) string) *Messages {
	return &Messages{file: file, dropNote: dropNote}
}

// Add queues one message, which is written as it is. It never blocks.
func (m *Messages) Add(text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.queue) >= maxMessages || len(m.queue) > 0 && m.bytes+len(text) > maxBytes {
		m.dropped++
		return
	}
	m.noteDropped()
	m.push(message{text, 1})
	if m.idle == nil {
		m.idle = make(chan struct{})
		go m.write(m.idle)
	}
}

// Flush waits until every message is written, or the limit is over. It reports whether they
// are.
func (m *Messages) Flush(limit time.Duration) bool {
	m.mu.Lock()
	idle := m.idle
	m.mu.Unlock()
	if idle == nil {
		return true
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-idle:
		return true
	case <-timer.C:
		return false
	}
}

// push appends a message. The caller holds mu.
func (m *Messages) push(one message) {
	m.queue = append(m.queue, one)
	m.bytes += len(one.text)
}

// noteDropped appends the message about dropped ones, if there are any. The caller holds mu.
func (m *Messages) noteDropped() {
	if m.dropped > 0 {
		m.push(message{m.dropNote(m.dropped), m.dropped})
		m.dropped = 0
	}
}

// write ends when there is nothing left to write, or a write fails.
func (m *Messages) write(idle chan struct{}) {
	defer close(idle)
	for {
		one, more := m.next()
		if !more {
			return
		}
		if _, err := Write(m.file, []byte(one.text)); err != nil {
			m.fail(one)
			return
		}
	}
}

// next takes the oldest message. Without one, the goroutine that calls it must end.
func (m *Messages) next() (one message, more bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.queue) == 0 {
		m.noteDropped()
	}
	if len(m.queue) == 0 {
		m.idle = nil
		return message{}, false
	}
	one = m.queue[0]
	m.queue = m.queue[1:]
	m.bytes -= len(one.text)
	return one, true
}

// fail counts a message that could not be written, and all behind it, as dropped. The next
// that is added tries again.
func (m *Messages) fail(one message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, lost := range append(m.queue, one) {
		m.dropped += lost.count
	}
	m.queue, m.bytes, m.idle = nil, 0, nil
}
