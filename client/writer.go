package client

import (
	"context"
	"errors"
	"io"

	"stint.dev/stint/job"
)

// Writer is a client that appends to one journal as the process that has taken it over.
type Writer struct {
	*Client
	number int
}

// TakeOver makes this process the writer of the journal of an agent that has died, and asks how
// long the journal is: that is the Size of the reply, or of the *job.Problem of the type
// job.ProblemWrongOffset, if it is not offset. From then on no append of an earlier process is
// taken, also none that is still on its way. Appends go through the Writer, which is nil with any
// other error.
func (c *Client) TakeOver(ctx context.Context, run string, attempt int, offset int64) (*Writer, job.AppendReply, error) {
	const tries = 4 // each fails only when another process has taken it over meanwhile, or the reply was lost
	w := &Writer{c, 0}
	for range tries {
		reply, err := w.Append(ctx, run, attempt, offset, nil)
		var p *job.Problem
		switch {
		case err == nil:
			return w, reply, nil
		case !errors.As(err, &p):
			return nil, reply, err
		case p.Type == job.ProblemWrongOffset:
			return w, reply, err
		case p.Type != job.ProblemJournalTaken || p.Writer == nil || *p.Writer < w.number:
			return nil, reply, err
		}
		w.number = *p.Writer
	}
	return nil, job.AppendReply{}, errors.New("take over the journal of run " + run + ": other processes take it over at the same time; try again")
}

// Append is Client.Append by the writer. Without data it asks how long the journal is, with a number
// of its own: the server cannot distinguish the same one from another process that takes over.
// It must not be called at the same time as another method of the Writer.
func (w *Writer) Append(ctx context.Context, run string, attempt int, offset int64, data []byte) (job.AppendReply, error) {
	if len(data) == 0 {
		w.number++
	}
	return w.appendData(ctx, run, attempt, offset, data, w.number)
}

// AppendFrom is Client.AppendFrom by the writer.
func (w *Writer) AppendFrom(ctx context.Context, run string, attempt int, offset, size int64, src io.ReaderAt) (job.AppendReply, error) {
	return w.appendFrom(ctx, run, attempt, offset, size, src, w.number)
}

// AppendCompressed is Client.AppendCompressed by the writer.
func (w *Writer) AppendCompressed(ctx context.Context, run string, attempt int, offset int64, data []byte) (job.AppendReply, error) {
	return w.appendCompressed(ctx, run, attempt, offset, data, w.number)
}
