package client

import (
	"context"
	"time"
)

const (
	// smallAppend is the most that an append brings on the connection of heartbeats, so
	// that a server of many agents has one connection of each instead of two.
	smallAppend = 64 << 10
	// turnTime is how long a heartbeat or a small append waits for the reply to the other.
	turnTime = time.Second
)

// HeartbeatsCut is notified when a connection closed that had carried two requests or more,
// heartbeats or small appends. An agent that sends a heartbeat at once shows that it is
// alive; a late reader only does not see how often it happened. A connection that carried one
// request does not count: some proxies close each after its reply.
func (c *Client) HeartbeatsCut() <-chan struct{} { return c.holding.Cut() }

// takeTurn waits until the held connection is free, and returns false if that takes too long.
// After true the caller must call giveTurn.
func (c *Client) takeTurn(ctx context.Context) bool {
	select {
	case c.turn <- struct{}{}:
		return true
	default:
	}
	timer := time.NewTimer(turnTime)
	defer timer.Stop()
	select {
	case c.turn <- struct{}{}:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

func (c *Client) giveTurn() { <-c.turn }
