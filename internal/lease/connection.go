package lease

import "time"

// Disconnect is the end of the connection that carried an attempt's heartbeats, before the
// attempt had ended.
type Disconnect struct {
	Run     string
	Attempt int
	Owner   string    // the token that its requests brought; empty for none
	At      time.Time // the server's clock
	// Peer says that the other side closed or reset the connection, as the kernel of a killed agent does. Else
	// it timed out, or this server closed it, which counts as silence.
	Peer bool
	// Indirect says that a proxy may be between agent and server, which can close a connection while the agent
	// is alive.
	Indirect bool
	// Forwarded says that a request came through a proxy that names itself; Indirect is set
	// as well then.
	Forwarded bool
	// Due is when the next heartbeat is due of an agent that does not send one at once after
	// its connection closed; zero for one that does.
	Due time.Time
	// Every is how long after its last heartbeat the next one was due, wherever it is sent to.
	Every time.Duration
	// Stopped says that this server did not run shortly before: what it reads then was sent earlier, and an agent with several
	// addresses may have gone on to another server.
	Stopped bool
	// Sequence is the number of the last heartbeat that this server got of the attempt; 0 for none.
	Sequence int64
}

// Closure is what the end of that connection means for the run. The zero value means
// a connection that has not closed.
type Closure struct {
	At time.Time
	// Confirm is the time after which the run is lost unless the agent sends a request; 0 if the end counts
	// only as silence.
	Confirm time.Duration
	// Why is the reason, in one clause, if that is longer than usual.
	Why string
	// Sequence is that of the Disconnect: an agent of which a later heartbeat is known has gone on to another server.
	Sequence int64
}

// ClosedRun is a Closure with the attempt whose connection it was.
type ClosedRun struct {
	Run     string
	Attempt int
	Closure Closure
}
