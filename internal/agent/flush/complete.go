package flush

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"stint.dev/stint/internal/agent/delivery"
	"stint.dev/stint/internal/agent/process/member"
	"stint.dev/stint/internal/agent/process/watch"
	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/internal/agent/spool/owner"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// complete ends a journal whose agent died before it could: with the time at which its processes had
// ended, or else that of the last record, the last known time of the attempt. The journal is taken over first: the server may
// know more than this host, after a power cut or because the agent died with something in its
// memory, and what is added here must not contradict it. The journal goes to the returned server; own says
// that it goes there as a run of its own.
func complete(ctx context.Context, j *spool.Journal, c Config) (server delivery.Server, own, added bool, err error) {
	own, err = hasOwnRun(ctx, j, c.Server)
	if err != nil || j.Recovered().Ended { // all that was ever sent of it is here
		return c.Server, own, false, err
	}
	if !own {
		err = sendBeginning(ctx, j, c.Server)
		own = delivery.IsIDTaken(j, err)
	}
	m, server, size := j.Meta(), c.Server, int64(0)
	if !own && err == nil {
		server, size, err = delivery.TakeOver(ctx, c.Server, m.Run, m.Attempt, j.Size())
		own = delivery.IsIDTaken(j, err)
	}
	switch {
	case own: // the server has nothing of it
		server, size = c.Server, 0
	case err != nil:
		return nil, false, false, err
	}
	why, lost := diedInMemory, j.UnattachedBytes()
	if size > j.Size() {
		why, lost = readBack, lost+j.DropTail()
		if err := repair(ctx, j, server, size); err != nil {
			return nil, own, false, err
		}
		// What the server has beyond that is the beginning of a record whose rest is lost:
		// what is added here takes its place.
		size = min(size, j.Size())
	}
	j.Acknowledge(size)
	j.PlaceTail()
	r := j.Recovered()
	if r.Ended || r.Attempt.Run == "" {
		// Without even the first record there is nothing to complete or deliver.
		return server, own, false, nil
	}
	// A disk that is full, perhaps of this very journal, is no reason to keep it there: what
	// is added may be in memory alone, and after another crash the server's copy is read back.
	if err = addEnd(j, r, c, why, lost); err != nil {
		return nil, own, false, fmt.Errorf("%w: complete %s: %w", errSpool, j.Path(), err)
	}
	return server, own, true, nil
}

// sendBeginning sends the first record of a journal, unless the server has acknowledged a part of it. The reply says whether
// the server has another journal under its id, which must not be taken over: its agent may be at work, or it may be whole.
func sendBeginning(ctx context.Context, j *spool.Journal, s delivery.Server) error {
	if j.Meta().Worker != "" || j.Acknowledged() > 0 || j.Recovered().Attempt.Run == "" {
		return nil
	}
	first := make([]byte, min(j.Size(), journal.HeaderSize+journal.MaxRecord))
	if _, err := j.ReadAt(first, 0); err != nil {
		return fmt.Errorf("%w: read %s: %w", errSpool, j.Path(), err)
	}
	_, size, err := journal.Next(first[journal.HeaderSize:], journal.HeaderSize)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", errSpool, j.Path(), err)
	}
	ctx, cancel := context.WithTimeout(ctx, delivery.AppendTimeout)
	defer cancel()
	_, err = s.Append(ctx, j.Meta().Run, j.Meta().Attempt, 0, first[:journal.HeaderSize+size])
	switch d := delivery.Decide(err); {
	case d.Action == delivery.Proceed, d.Action == delivery.Resume, d.Action == delivery.Taken:
		return nil
	case d.Final():
		return delivery.FinalError(d, j.Meta().Run, err)
	}
	return err
}

// The notes about output that is lost.
const (
	diedInMemory = "output that the agent had only in memory is lost, and %s after it, which it had on disk or had counted, are left out"
	readBack     = "the end of this host's journal was lost with its power and was read back from the server; %s of output that was not in it yet are lost"
)

// addEnd appends what is known of the end of an attempt whose agent died. why is the note about
// lost bytes of output.
func addEnd(j *spool.Journal, r journal.Recovered, c Config, why string, lost int64) error {
	if rec, final, ok := keptOutcome(j); ok {
		return addKept(j, r, rec, final)
	}
	rebooted := c.Host.RebootedSince(owner.Host{Name: r.Attempt.Host, BootID: r.Attempt.BootID})
	o := job.Unfinished(rebooted, r.LastAt)
	at := r.LastAt
	if c.endedAt.After(at) {
		at = c.endedAt
	}
	note := func(text string) error {
		return j.AppendJSON(journal.TypeNote, at, journal.Note{Step: r.Open, Text: text})
	}
	var err error
	if lost > 0 {
		err = note(fmt.Sprintf(why, job.Bytes(lost)))
	}
	swept := c.swept
	if swept == nil && !rebooted {
		text := Sweep(r.Attempt.Run, r.Attempt.Attempt)
		swept = &text
	}
	if swept != nil && *swept != "" && err == nil {
		err = note(*swept)
	}
	if err == nil && r.Open >= 0 {
		err = j.AppendJSON(journal.TypeStepEnded, at, journal.StepEnded{Index: r.Open, Outcome: o})
	}
	if err == nil {
		err = j.Finish(at, journal.Final{Outcome: o})
	}
	return err
}

// keptOutcome returns the outcome that the agent wrote itself, and that is behind damage.
func keptOutcome(j *spool.Journal) (rec journal.Record, final journal.Final, ok bool) {
	record, err := base64.StdEncoding.DecodeString(j.Meta().Outcome)
	if err == nil {
		rec, _, err = journal.Next(record, 0)
	}
	if err != nil || rec.Type != journal.TypeOutcome {
		return rec, final, false
	}
	return rec, final, journal.Decode(rec, &final) == nil
}

// addKept appends the agent's own outcome to the readable part of a damaged journal. It states the
// length and digest of the whole journal, so the server shows that output is missing.
func addKept(j *spool.Journal, r journal.Recovered, rec journal.Record, final journal.Final) error {
	text := fmt.Sprintf("the journal was damaged on the disk of its host: from byte %d on it is lost, up to the outcome at byte %d", r.Size, final.Bytes)
	err := j.AppendJSON(journal.TypeNote, rec.At, journal.Note{Step: r.Open, Text: text})
	if err == nil && r.Open >= 0 {
		err = j.AppendJSON(journal.TypeStepEnded, rec.At, journal.StepEnded{Index: r.Open, Outcome: final.Outcome})
	}
	if err == nil {
		err = j.Append(rec)
	}
	return err
}

// askSize asks how far the server is with a journal: an append of nothing.
func askSize(ctx context.Context, j *spool.Journal, s delivery.Server) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, delivery.AppendTimeout)
	defer cancel()
	m := j.Meta()
	reply, err := s.Append(ctx, m.Run, m.Attempt, j.Size(), nil)
	switch d := delivery.Decide(err); {
	case d.Action == delivery.Proceed:
		return reply.Size, nil
	case d.Action == delivery.Resume, d.Action == delivery.Whole:
		return d.Size, nil
	case d.Final():
		return 0, delivery.FinalError(d, m.Run, err)
	}
	return 0, err
}

// reader is a server from which a journal can be read back.
type reader interface {
	// Journal reads the stored bytes of a journal from an offset on, up to its last whole
	// record.
	Journal(ctx context.Context, run string, attempt int, offset int64) (io.ReadCloser, error)
}

// repair appends what the server has of a journal and this host has lost.
func repair(ctx context.Context, j *spool.Journal, s delivery.Server, size int64) error {
	ahead := fmt.Sprintf("the server already has %d bytes of this journal, and here it is %d bytes long", size, j.Size())
	from, ok := s.(reader)
	if !ok {
		return &delivery.RefusedError{Why: ahead}
	}
	m := j.Meta()
	body, err := from.Journal(ctx, m.Run, m.Attempt, j.Size())
	if final := delivery.FinalError(delivery.Decide(err), m.Run, err); final != nil {
		return final
	}
	if err != nil {
		return fmt.Errorf("%s: read them back: %w", ahead, err)
	}
	defer body.Close()
	return extend(j, body)
}

// extend appends whole records as they come.
func extend(j *spool.Journal, body io.Reader) error {
	buf := make([]byte, 0, 2*journal.MaxRecord)
	for {
		n, err := body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		used, bad := j.Extend(buf)
		buf = append(buf[:0], buf[used:]...)
		switch {
		case bad != nil:
			return &delivery.RefusedError{Why: "what the server has of this journal does not continue what is here", Cause: bad}
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read the journal back from the server: %w", err)
		}
	}
}

// Sweep ends the processes that still live of an attempt whose agent died, and returns a text
// that names them; empty for none.
func Sweep(run string, attempt int) string {
	killed, err := watch.Sweep(run, attempt)
	if err != nil {
		return "processes of the job may still run: " + err.Error()
	}
	return LeftText(killed)
}

// LeftText names the processes of an attempt that outlived its agent and were killed; empty
// for none.
func LeftText(killed []member.Member) string {
	if len(killed) == 0 {
		return ""
	}
	return "the agent died and " + member.LeftText(killed) + "; they were killed"
}
