// Package notify receives what a job reports of itself: the messages of sd_notify(3), which
// many programs send already when they find NOTIFY_SOCKET in their environment.
//
// Understood are STATUS=, READY=1, STOPPING=1, WATCHDOG=1, EXTEND_TIMEOUT_USEC= and
// BARRIER=1. MAINPID= and everything else is ignored; descriptors are never kept. What comes
// from the job is bounded and cleaned.
package notify

import (
	"strconv"
	"strings"
	"time"

	"stint.dev/stint/internal/agent/text"
)

const (
	// MaxStatus bounds a status text, in bytes.
	MaxStatus = 500
	// maxDatagram bounds one message, as systemd does.
	maxDatagram = 4096
	// maxExtend bounds one request for more time. It can be repeated.
	maxExtend = 24 * time.Hour
)

// Message is the content of one datagram.
type Message struct {
	Status    string // cleaned; meaningful when HasStatus
	HasStatus bool   // there was a STATUS=
	Ready     bool
	Stopping  bool
	Watchdog  bool
	// Extend is for how long, from now, a limit on progress should wait; 0 for nothing.
	Extend time.Duration
	// Stores asks the agent to keep descriptors, which is refused.
	Stores bool
}

// Parse reads one datagram. Lines that are not understood are skipped.
func Parse(datagram []byte) (m Message) {
	for line := range strings.SplitSeq(string(datagram), "\n") {
		key, value, found := strings.Cut(line, "=")
		if !found {
			continue
		}
		switch key {
		case "STATUS":
			m.Status, m.HasStatus = text.Clean(value, MaxStatus), true
		case "READY":
			m.Ready = m.Ready || value == "1"
		case "STOPPING":
			m.Stopping = m.Stopping || value == "1"
		case "WATCHDOG":
			m.Watchdog = m.Watchdog || value == "1"
		case "EXTEND_TIMEOUT_USEC":
			if usec, err := strconv.ParseUint(value, 10, 64); err == nil {
				m.Extend = time.Duration(min(usec, uint64(maxExtend/time.Microsecond))) * time.Microsecond
			}
		case "FDSTORE":
			m.Stores = m.Stores || value == "1"
		}
	}
	return m
}
