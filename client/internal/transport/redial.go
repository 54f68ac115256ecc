package transport

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// redialEvery is the pause between two tries to make one connection.
const redialEvery = time.Second

// redialer makes connections over a path that may lose every packet for a while. The system
// sends a lost first packet again after 1, 3 and 7 seconds, and asks a lost question of a name
// server again after 5: which would make an outage up to twice as long. So a redialer
// tries again every second, beside the tries that are under way, and takes the connection that
// is made first.
type redialer struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)

	mu      sync.Mutex
	address string // that was connected to last
	reached string // what its name led to
}

// DialContext makes a connection. It returns an error when every try has failed, or none has
// succeeded within dialTimeout.
func (r *redialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel() // ends the other tries
	type result struct {
		conn net.Conn
		err  error
	}
	results, running := make(chan result), 0
	try := func(address string) {
		running++
		go func() {
			conn, err := r.dial(ctx, network, address)
			select {
			case results <- result{conn, err}:
			case <-ctx.Done():
				if conn != nil {
					conn.Close()
				}
			}
		}()
	}
	try(address)
	ticker := time.NewTicker(redialEvery)
	defer ticker.Stop()
	for {
		select {
		case got := <-results:
			running--
			if got.err == nil {
				r.note(address, got.conn)
				return got.conn, nil
			}
			if running == 0 {
				return nil, got.err
			}
		case <-ticker.C:
			try(address)
			if reached := r.last(address); reached != "" {
				try(reached)
			}
		case <-ctx.Done():
			return nil, fmt.Errorf("dial %s %s: %w", network, address, os.ErrDeadlineExceeded)
		}
	}
}

func (r *redialer) note(address string, conn net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.address, r.reached = address, conn.RemoteAddr().String()
}

// last is the IP address that an address was resolved to last; empty if it is not known or the
// same.
func (r *redialer) last(address string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.address != address || r.reached == address {
		return ""
	}
	return r.reached
}
