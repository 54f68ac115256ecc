package delivery

import (
	"context"

	"stint.dev/stint/client"
	"stint.dev/stint/job"
)

// TakenError reports that the server accepts a journal from another process only, which has taken it
// over. The process that holds the journal now takes it over in turn.
type TakenError struct{ Cause error }

func (e *TakenError) Error() string { return e.Cause.Error() }
func (e *TakenError) Unwrap() error { return e.Cause }

// takeoverServer is a server at which a process can take over the journal of another one.
type takeoverServer interface {
	TakeOver(ctx context.Context, run string, attempt int, offset int64) (*client.Writer, job.AppendReply, error)
}

// TakeOver makes this process the only one from which the server takes the journal of an attempt
// whose agent has died. It returns how much of it the server has, which from then on only appends
// to the returned server change: one that the dead agent still had on its way is refused. It has to
// come before anything is added to the journal here that the agent did not write, because the
// agent may have sent other bytes for the same place.
func TakeOver(ctx context.Context, s Server, run string, attempt int, offset int64) (as Server, size int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, AppendTimeout)
	defer cancel()
	var reply job.AppendReply
	if t, able := s.(takeoverServer); able {
		var w *client.Writer
		if w, reply, err = t.TakeOver(ctx, run, attempt, offset); w != nil {
			s = w
		}
	} else { // a server with one writer
		reply, err = s.Append(ctx, run, attempt, offset, nil)
	}
	switch d := Decide(err); {
	case d.Action == Proceed:
		return s, reply.Size, nil
	case d.Action == Resume:
		return s, d.Size, nil
	case d.Final():
		return nil, 0, FinalError(d, run, err)
	}
	return nil, 0, err
}
