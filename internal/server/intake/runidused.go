package intake

import (
	"bytes"
	"context"
	"errors"
	"net/http"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// explainAppend returns the error of an append with the type by which the agent decides whether to
// continue. An append that begins at byte 0 of a stored journal either repeats it, because of a proxy
// or a lost reply, or is a different journal under an id that was used before, also where another process
// has taken the stored journal over: the sender of a different one must not take it over in turn.
func (s *Intake) explainAppend(ctx context.Context, a index.Append, err error) error {
	var offset *index.OffsetError
	var taken *index.WriterError
	if errors.As(err, &offset) || errors.As(err, &taken) {
		return s.unlessOtherJournal(ctx, a, err)
	}
	p := httpio.AsProblem(err)
	if p.Status == http.StatusUnprocessableEntity {
		p.Type = job.ProblemJournalRefused
		return p
	}
	return err
}

// unlessOtherJournal returns the error of an append, or that it begins another journal than the stored one.
func (s *Intake) unlessOtherJournal(ctx context.Context, a index.Append, err error) error {
	if a.Offset != 0 || !s.isOtherJournal(ctx, a.Run, a.Attempt, a.Data) {
		return err
	}
	if submitted, serr := s.Store.IsSubmitted(ctx, a.Run); serr == nil && submitted {
		return &index.SubmittedError{Run: a.Run}
	}
	used := httpio.NewProblem(http.StatusConflict,
		"the server has a different journal of run %s, attempt %d: the run id was used before; start the job with a new run id", a.Run, a.Attempt)
	used.Type = job.ProblemRunIDUsed
	return used
}

// refuseClaim answers an append to a run of another token. That the run id was used before is answered with any token,
// so that an agent with a token of its own does not wait for another one.
func (s *Intake) refuseClaim(w http.ResponseWriter, r *http.Request, a index.Append, err error) {
	if a.Offset == 0 && httpio.AsProblem(err).Status == http.StatusForbidden {
		b, rerr := s.readBody(w, r)
		defer b.release()
		if rerr == nil && b.cut == nil {
			a.Data = b.data
			err = s.unlessOtherJournal(r.Context(), a, err)
		}
	}
	s.Fail(w, r, err)
}

// isOtherJournal reports whether the beginning of a journal differs from that of the stored one. They
// are compared up to the end of the first record, which has the run and the start of the attempt. If
// they cannot be compared, it returns false: the agent then continues after the stored bytes, and
// checksums and the digest of the outcome detect a different journal.
func (s *Intake) isOtherJournal(ctx context.Context, run string, attempt int, data []byte) bool {
	sent := beginning(data)
	if sent == nil {
		return false
	}
	heads, err := s.Store.Blocks(ctx, run, attempt, 0, 1)
	if err != nil || len(heads) == 0 || heads[0].Start != journal.HeaderSize {
		return false
	}
	block, err := s.Store.BlockData(ctx, run, attempt, heads[0].Start)
	if err != nil {
		return false
	}
	return !bytes.HasPrefix(append(journal.AppendHeader(nil), block...), sent)
}

// beginning returns the header and the first record of a journal; nil if they are incomplete.
func beginning(data []byte) []byte {
	if len(data) < journal.HeaderSize || journal.CheckHeader(data) != nil {
		return nil
	}
	_, size, err := journal.Next(data[journal.HeaderSize:], journal.HeaderSize)
	if err != nil || size == 0 {
		return nil
	}
	return data[:journal.HeaderSize+size]
}
