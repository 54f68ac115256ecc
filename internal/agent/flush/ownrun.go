package flush

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strconv"

	"github.com/google/uuid"

	"stint.dev/stint/internal/agent/delivery"
	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/journal"
)

// LabelIDTaken is the label of a run that was started by hand with the id of another run: its value is that id.
const LabelIDTaken = "id_taken"

// ownRuns is the namespace of the ids of such runs.
var ownRuns = uuid.MustParse("b0a1b7a3-53d5-4d0c-9a25-6f3fd8a2c1e4")

// OwnRun returns the id under which a journal is delivered whose own is that of another run. All attempts of one
// agent have the same, and so has another try, also with a copy of the journal.
func OwnRun(a journal.Attempt) string {
	agent := a.Run + "\x00" + a.Host + "\x00" + a.BootID + "\x00" + strconv.Itoa(a.AgentPID)
	if !a.AgentBegan.IsZero() { // else it is the journal of an older agent
		agent += "\x00" + strconv.FormatInt(a.AgentBegan.UnixNano(), 10)
	}
	return uuid.NewSHA1(ownRuns, []byte(agent)).String()
}

// OwnLabels returns the labels of a run that is recorded under an id of its own. taken is the other run with its id.
func OwnLabels(labels map[string]string, taken string) map[string]string {
	labels = maps.Clone(labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[LabelIDTaken] = taken
	return labels
}

// hasOwnRun reports whether the server has the attempt before that of a journal as one of a run of its own. The other
// run may take or refuse the number of this attempt for a reason of its own: it is not asked then.
func hasOwnRun(ctx context.Context, j *spool.Journal, s delivery.Server) (bool, error) {
	m := j.Meta()
	if m.Worker != "" || m.Attempt == 1 || j.Acknowledged() > 0 {
		return false, nil
	}
	before := &appender{ctx: ctx, server: s, run: OwnRun(j.Recovered().Attempt), attempt: m.Attempt - 1}
	err := before.ask()
	return err == nil && before.have > 0, err
}

// deliverAsOwnRun brings a whole journal, whose id is that of another run, to the server as a run of its own, and
// returns the id of that. The bytes are the same but for the first record, which names the run, and the last one, which
// has the length and the digest of the others. What an earlier try has delivered is not sent again.
func deliverAsOwnRun(ctx context.Context, j *spool.Journal, s delivery.Server) (run string, err error) {
	run = OwnRun(j.Recovered().Attempt)
	to := &appender{ctx: ctx, server: s, run: run, attempt: j.Meta().Attempt, took: j.SetInstallation}
	if err := to.ask(); err != nil {
		return "", err
	}
	w, err := journal.NewWriter(to)
	if err == nil {
		err = eachRecord(io.NewSectionReader(j, 0, j.Size()), func(rec journal.Record, raw []byte, at int64) error { return renamed(w, run, rec, raw, at) })
	}
	if err == nil {
		err = to.send()
	}
	switch {
	case err != nil:
		return "", fmt.Errorf("deliver it as run %s: %w", run, err)
	case to.have != w.Size():
		return "", delivery.AheadError(to.have, w.Size())
	}
	return run, nil
}

// renamed writes a record of a journal to one of another run. at is its offset in the first.
func renamed(w *journal.Writer, run string, rec journal.Record, raw []byte, at int64) error {
	switch rec.Type {
	case journal.TypeAttempt:
		var a journal.Attempt
		if err := journal.Decode(rec, &a); err != nil {
			return err
		}
		a.Labels, a.Run = OwnLabels(a.Labels, a.Run), run
		return w.AppendJSON(rec.Type, rec.At, a)
	case journal.TypeOutcome:
		var final journal.Final
		if err := journal.Decode(rec, &final); err != nil {
			return err
		}
		if final.Bytes == at { // else something is missing of what it counts, which the server shows
			return w.Finish(rec.At, final)
		}
	}
	return w.AppendEncoded(raw)
}

// eachRecord calls do with the records of a journal, their bytes, which are valid during the call, and their offsets.
func eachRecord(src io.Reader, do func(rec journal.Record, raw []byte, at int64) error) error {
	if _, err := io.CopyN(io.Discard, src, journal.HeaderSize); err != nil {
		return fmt.Errorf("%w: %w", errSpool, err)
	}
	buf, at := make([]byte, 0, 2*journal.MaxRecord), int64(journal.HeaderSize)
	for {
		n, rerr := src.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		used := 0
		for {
			rec, size, err := journal.Next(buf[used:], at)
			if errors.Is(err, journal.ErrShort) {
				break
			}
			if err != nil {
				return fmt.Errorf("%w: %w", errSpool, err)
			}
			if err := do(rec, buf[used:used+size], at); err != nil {
				return err
			}
			used, at = used+size, at+int64(size)
		}
		buf = append(buf[:0], buf[used:]...)
		if errors.Is(rerr, io.EOF) {
			return nil
		}
		if rerr != nil {
			return fmt.Errorf("%w: %w", errSpool, rerr)
		}
	}
}

// appender appends what is written to it to the journal of an attempt on a server, in batches, as far as the server does
// not have it.
type appender struct {
	ctx     context.Context //nolint:containedctx // it is that of one call, which the writer of a journal does not pass on
	server  delivery.Server
	run     string
	attempt int
	took    func(installation string) // called with the server's when it took something; nil for nothing
	have    int64                     // the bytes that the server has
	at      int64                     // where buf begins
	buf     []byte
}

// batchBytes is how much one append brings.
const batchBytes = 1 << 20

// ask asks how far the server is.
func (a *appender) ask() error { return a.append(nil) }

func (a *appender) Write(b []byte) (int, error) {
	a.buf = append(a.buf, b...)
	if len(a.buf) < batchBytes {
		return len(b), nil
	}
	return len(b), a.send()
}

// send sends what is buffered.
func (a *appender) send() error {
	end := a.at + int64(len(a.buf))
	for a.have < end {
		if a.have < a.at {
			return fmt.Errorf("the server has %d bytes, and had more before", a.have)
		}
		before := a.have
		if err := a.append(a.buf[a.have-a.at:]); err != nil {
			return err
		}
		if a.have == before {
			return fmt.Errorf("the server takes nothing after byte %d", before)
		}
	}
	a.at, a.buf = end, a.buf[:0]
	return nil
}

func (a *appender) append(data []byte) error {
	ctx, cancel := context.WithTimeout(a.ctx, delivery.AppendTimeout)
	defer cancel()
	reply, err := a.server.Append(ctx, a.run, a.attempt, a.have, data)
	switch d := delivery.Decide(err); {
	case d.Action == delivery.Proceed:
		a.have = reply.Size
		if a.took != nil && len(data) > 0 {
			a.took(reply.Server)
		}
	case d.Action == delivery.Resume:
		a.have = d.Size
	case d.Final():
		return delivery.FinalError(d, a.run, err)
	default:
		return err
	}
	return nil
}
