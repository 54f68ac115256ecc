// Package delivery sends one journal and the heartbeats of one attempt to the server.
//
// Offsets make delivery exact: the server reports how much of the journal it has, and the rest
// is sent, whatever happened before.
package delivery

import (
	"context"
	"net/url"

	"stint.dev/stint/job"
)

// Server is what the agent needs of the tracking server. Errors are *job.Problem for a
// reply that refuses; anything else is trouble on the way.
type Server interface {
	// Append sends journal bytes that begin at offset. The reply says how much of the
	// journal is durable there.
	Append(ctx context.Context, run string, attempt int, offset int64, data []byte) (job.AppendReply, error)
	// Beat sends a heartbeat; the reply holds what the server asks of the attempt.
	Beat(ctx context.Context, run string, attempt int, hb job.Heartbeat) (job.HeartbeatReply, error)
}

// WithoutCredentials takes user and password out of a URL, which the job and the spool must
// not see.
func WithoutCredentials(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.User == nil {
		return raw
	}
	u.User = nil
	return u.String()
}
