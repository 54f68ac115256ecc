//go:build linux || darwin

package notify

import (
	"fmt"
	"net"
	"strings"
	"time"

	"stint.dev/stint/internal/agent/bounded"
)

// Forwarder sends messages on to the manager of the agent: with the agent put in front of a
// service, the service manager still learns when it is ready.
type Forwarder struct{ conn *net.UnixConn }

// sendLimit bounds the wait for a manager that does not read.
const sendLimit = 100 * time.Millisecond

// NewForwarder connects to the address that the agent found in its own NOTIFY_SOCKET.
func NewForwarder(address string) (*Forwarder, error) {
	if !strings.HasPrefix(address, "/") && !strings.HasPrefix(address, "@") {
		return nil, fmt.Errorf("the agent's own NOTIFY_SOCKET %.100q is no address of a Unix socket", address)
	}
	conn, err := bounded.Call(placeLimit, func() (*net.UnixConn, error) {
		return net.DialUnix("unixgram", nil, &net.UnixAddr{Name: address, Net: "unixgram"})
	})
	if err != nil {
		return nil, fmt.Errorf("reach the agent's own NOTIFY_SOCKET: %w", err)
	}
	return &Forwarder{conn}, nil
}

// Send sends a message on, without what is about processes and descriptors: the manager
// knows the agent, and not the job.
func (f *Forwarder) Send(datagram []byte) error {
	var lines []string
	for line := range strings.SplitSeq(string(datagram), "\n") {
		key, _, found := strings.Cut(line, "=")
		switch {
		case !found, strings.HasPrefix(key, "MAINPID"), strings.HasPrefix(key, "FD"), key == "BARRIER", key == "WATCHDOG_USEC":
		default:
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return nil
	}
	_ = f.conn.SetWriteDeadline(time.Now().Add(sendLimit)) // the write fails then
	_, err := f.conn.Write([]byte(strings.Join(lines, "\n")))
	return err
}

// Close closes the connection.
func (f *Forwarder) Close() {
	if f != nil {
		_ = f.conn.Close()
	}
}
