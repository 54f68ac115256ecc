// Package delivery sends one journal and the heartbeats of one attempt to the server.
//
// Offsets make delivery exact: the server reports how much of the journal it has, and the rest
// is sent, whatever happened before.
package delivery

import (
	"context"
	"net/url"
	"strings"

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

// WithoutCredentials takes user and password out of URLs, one a line, which the job and the spool must
// not see.
func WithoutCredentials(raw string) string {
	lines := strings.Split(raw, "\n")
	for i, line := range lines {
		if u, err := url.Parse(line); err == nil && u.User != nil {
			u.User = nil
			lines[i] = u.String()
		}
	}
	return strings.Join(lines, "\n")
}

// TakeNotices has what a person must know of the addresses of a server, such as one that leads to another installation, printed,
// and noted until the journal has ended.
func TakeNotices(s Server, ended <-chan struct{}, report, note func(text string)) {
	n, able := s.(interface {
		OnNotice(report func(text string))
	})
	if !able {
		return
	}
	n.OnNotice(func(text string) {
		report(text)
		select {
		case <-ended: // nothing may follow the outcome
		default:
			note(text)
		}
	})
}
