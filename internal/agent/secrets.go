package agent

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"time"

	"stint.dev/stint/internal/agent/bounded"
	"stint.dev/stint/internal/agent/redact"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// Secrets are masked where the journal is written, so that no reader of it (the spool's
// file, the server, the caller's own stdout) can meet one.

// secretsOf is what is masked in the attempt, nil for nothing, and what there is to say
// about it.
func secretsOf(c Config) (*redact.Set, []string) {
	found := redact.Find(jobEnvironment(c), redact.Choice{Also: c.Redact, Except: c.NoRedact, Exists: fileExists()})
	values := append(found.Values, redact.Parts(c.Token)...)
	values = append(values, redact.URLCredentials(c.ReportURL)...)
	for _, kv := range c.Env { // what the job's environment does not have
		if token, ok := strings.CutPrefix(kv, tokenName+"="); ok {
			values = append(values, redact.Parts(token)...)
		}
		if address, ok := strings.CutPrefix(kv, reportName+"="); ok {
			values = append(values, redact.URLCredentials(address)...)
		}
	}
	var said []string
	say := func(names []string, format string) {
		if len(names) > 0 {
			said = append(said, fmt.Sprintf(format, namesText(names)))
		}
	}
	say(found.Names, "masked as "+redact.Mark+" wherever it appears: the value of %s")
	say(found.Short, fmt.Sprintf("not masked, because it is shorter than %d bytes: the value of %%s", redact.MinLength))
	say(found.Unknown, "--redact names what the job's environment does not have: %s")
	return redact.NewSet(values), said
}

// existsLimit bounds the look for a file before the job starts.
const existsLimit = 500 * time.Millisecond

// fileExists returns what reports whether there is a file. Once a file system has not answered,
// no other is asked.
func fileExists() func(path string) bool {
	dead := false
	return func(path string) bool {
		if dead {
			return false
		}
		_, err := bounded.Call(existsLimit, func() (os.FileInfo, error) { return os.Lstat(path) })
		var late *bounded.NoAnswerError
		dead = errors.As(err, &late)
		return err == nil
	}
}

func namesText(names []string) string {
	const most = 50
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}

// masked is what a record says, masked. Names of steps, samples and gaps hold no text from
// outside, and the job's name is what the run is found by.
func masked(secrets *redact.Set, v any) any {
	if secrets == nil {
		return v
	}
	switch v := v.(type) {
	case journal.Attempt:
		v.Args, v.Install, v.Dir = secrets.Strings(v.Args), secrets.Strings(v.Install), secrets.String(v.Dir)
		v.Labels = maskedLabels(secrets, v.Labels)
		return v
	case journal.StepStarted:
		v.Command = secrets.String(v.Command)
		return v
	case journal.StepEnded:
		v.Outcome = maskedOutcome(secrets, v.Outcome)
		return v
	case journal.Note:
		v.Text = secrets.String(v.Text)
		return v
	case journal.Status:
		v.Text = secrets.String(v.Text)
		return v
	case journal.Stopping:
		v.By, v.Why = secrets.String(v.By), secrets.String(v.Why)
		return v
	}
	return v
}

// maskedLabels keeps every label a label: the mark may be longer than what it stands for.
func maskedLabels(secrets *redact.Set, labels map[string]string) map[string]string {
	labels = maps.Clone(labels)
	for k, v := range labels {
		if v = secrets.String(v); len(v) > job.MaxLabelBytes {
			v = redact.Mark
		}
		labels[k] = v
	}
	return labels
}

func maskedOutcome(secrets *redact.Set, o job.Outcome) job.Outcome {
	o.Message, o.By = secrets.String(o.Message), secrets.String(o.By)
	if secrets != nil && o.OOM != nil {
		oom := *o.OOM
		oom.Victim = secrets.String(oom.Victim)
		o.OOM = &oom
	}
	return o
}

// shownCommand is a step's command line in the journal. It is masked before it is quoted
// and cut, which could leave a part of a value that nobody recognises.
func shownCommand(secrets *redact.Set, s step) string {
	if s.kind == job.InstallStep {
		return shorten(secrets.String(s.args[len(s.args)-1])) // sh -c COMMAND
	}
	return shorten(job.CommandLine(secrets.Strings(s.args)))
}

// mask is what a capture needs to mask its stream.
type mask struct {
	stream *redact.Stream
	rec    []byte // an output record in the making, with room for its frame
}

func newMask(secrets *redact.Set) *mask {
	if secrets == nil {
		return nil
	}
	return &mask{stream: secrets.Stream(), rec: make([]byte, front)}
}

// keep brings what was read to the journal; rec and next are as recorder.output has them.
func (c *capture) keep(rec []byte) (next []byte) {
	if c.mask == nil {
		return c.rec.output(rec, c.step, c.stream, time.Now(), true)
	}
	c.rec.printed(time.Now()) // also when all of it is held back
	c.mask.rec = c.mask.stream.Mask(c.mask.rec[:front], rec[front:])
	c.keepMasked()
	return nil
}

// keepHeld brings what the mask holds back to the journal, at the end of the stream.
func (c *capture) keepHeld() {
	if c.mask != nil {
		c.mask.rec = c.mask.stream.Flush(c.mask.rec[:front])
		c.keepMasked()
	}
}

// keepMasked writes the mask's bytes in records of at most readSize. The frame of each
// stands where the bytes before it were, which are written already.
func (c *capture) keepMasked() {
	for at := front; at < len(c.mask.rec); at += readSize {
		c.rec.output(c.mask.rec[at-front:min(at+readSize, len(c.mask.rec))], c.step, c.stream, time.Now(), false)
	}
}
