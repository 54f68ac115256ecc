package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"stint.dev/stint/internal/agent/spool/disk"
	"stint.dev/stint/internal/agent/spool/owner"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// Meta says whose journal this is and where it is meant to go.
type Meta struct {
	Run     string `json:"run"`
	Attempt int    `json:"attempt"`
	Job     string `json:"job"`
	// Server is the address of the server that it is meant for, without credentials; one a line if it has several.
	Server string `json:"server,omitempty"`
	// Installation is the id of the installation that has taken a part of it, to which it belongs; empty while none has.
	Installation string     `json:"installation,omitempty"`
	PID          int        `json:"pid,omitempty"` // of the agent that made it
	Host         owner.Host `json:"host"`          // of the agent that made it
	// Acknowledged is how far the server was when the journal was closed; it may be
	// further. Asking it is the rule, this the first guess.
	Acknowledged int64 `json:"acknowledged,omitempty"`
	// Beginning is what must be known of the segments that were deleted; nil while there
	// are none.
	Beginning *journal.Checkpoint `json:"beginning,omitempty"`
	// Outcome is the encoded outcome record, in base64, that was behind damage, which was cut
	// off; empty if there was none.
	Outcome string `json:"outcome,omitempty"`
	// Refused is why the server will never take this journal; empty while it may.
	Refused string `json:"refused,omitempty"`
	// Worker is the worker whose agent this is; empty for a run that was started by hand.
	Worker string `json:"worker,omitempty"`
	// Token delivers this journal and no other; empty where it is delivered with the token of
	// the process that delivers. It is in a file of its own.
	Token string `json:"-"`
}

// readMeta reads the meta file of a journal. Whose journal it is follows from the name of the
// directory. What is missing or damaged, as after a power cut, is no reason to leave the journal:
// all but the server, the installation and the deleted segments is in the journal itself.
func readMeta(dir string) (Meta, error) {
	run, attempt, err := parseDir(filepath.Base(dir))
	if err != nil {
		return Meta{}, fmt.Errorf("spool: %s: %w; rename or remove it", dir, err)
	}
	data, err := disk.ReadSmall(filepath.Join(dir, disk.MetaFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, disk.ErrTooLarge) {
		return Meta{}, fmt.Errorf("spool: read %s: %w", filepath.Join(dir, disk.MetaFile), err)
	}
	m := decodeMeta(data)
	m.Run, m.Attempt = run, attempt
	if m.Token, err = readToken(dir); err != nil {
		return Meta{}, err
	}
	if m.Job != "" && m.Host != (owner.Host{}) {
		return m, nil
	}
	if a, ok := firstRecord(dir); ok && a.Run == run && a.Attempt == attempt {
		m.Job, m.PID, m.Host = a.Job, a.AgentPID, owner.Host{Name: a.Host, BootID: a.BootID}
	}
	return m, nil
}

// parseDir takes the name of a journal's directory apart.
func parseDir(name string) (run string, attempt int, err error) {
	run, number, _ := strings.Cut(name, ".")
	if err := job.CheckRunID(run); err != nil {
		return "", 0, fmt.Errorf("the name of a journal's directory is RUN.ATTEMPT: %w", err)
	}
	attempt, err = strconv.Atoi(number)
	if err != nil || attempt < 1 || strconv.Itoa(attempt) != number {
		return "", 0, fmt.Errorf("the name of a journal's directory is RUN.ATTEMPT, and %q is no attempt", number)
	}
	return run, attempt, nil
}

// decodeMeta takes from the text of a meta file each field that can be used by itself. Of a
// beginning that cannot be used something is left, for it says that segments were deleted.
func decodeMeta(data []byte) (m Meta) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(data, &fields) != nil {
		return m
	}
	decodeField(fields["job"], &m.Job)
	decodeField(fields["server"], &m.Server)
	decodeField(fields["installation"], &m.Installation)
	decodeField(fields["pid"], &m.PID)
	decodeField(fields["host"], &m.Host)
	decodeField(fields["acknowledged"], &m.Acknowledged)
	decodeField(fields["refused"], &m.Refused)
	decodeField(fields["outcome"], &m.Outcome)
	decodeField(fields["worker"], &m.Worker)
	if raw := fields["beginning"]; raw != nil && string(raw) != "null" {
		m.Beginning = &journal.Checkpoint{}
		decodeField(raw, m.Beginning)
	}
	return m
}

// decodeField decodes one field, or leaves its zero value.
func decodeField[T any](raw json.RawMessage, into *T) {
	var v T
	if json.Unmarshal(raw, &v) == nil {
		*into = v
	}
}

// usableBeginning returns what is known of the deleted segments, or nil if that can be no
// attempt's of this name.
func (m Meta) usableBeginning() *journal.Checkpoint {
	b := m.Beginning
	if b == nil || b.Size <= journal.HeaderSize || b.Size > maxUnsent || b.Open < -1 || b.Attempt.Run != m.Run || b.Attempt.Attempt != m.Attempt {
		return nil
	}
	if _, err := journal.RecoverFrom(*b, strings.NewReader("")); err != nil {
		return nil
	}
	return b
}

func firstRecord(dir string) (a journal.Attempt, ok bool) {
	file, err := os.Open(filepath.Join(dir, disk.JournalFile))
	if err != nil {
		return a, false
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, journal.HeaderSize+journal.MaxRecord))
	if err != nil || journal.CheckHeader(data) != nil {
		return a, false
	}
	rec, size, err := journal.Next(data[journal.HeaderSize:], journal.HeaderSize)
	if err != nil || size == 0 || rec.Type != journal.TypeAttempt {
		return a, false
	}
	return a, journal.Decode(rec, &a) == nil
}

// readToken reads the journal's own token; empty for none.
func readToken(dir string) (string, error) {
	text, err := disk.ReadSmall(filepath.Join(dir, disk.TokenFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("spool: read %s: %w", filepath.Join(dir, disk.TokenFile), err)
	}
	return strings.TrimSpace(string(text)), nil
}

// writeToken writes the journal's own token, if it has one, for this user alone.
func writeToken(d disk.Directory, token string) error {
	if token == "" {
		return nil
	}
	return d.Replace(disk.TokenFile, []byte(token+"\n"), false)
}

// writeMeta replaces the meta file in one step. What cannot be known without it has to survive
// a loss of power; the rest can be read from the journal.
func writeMeta(d disk.Directory, m Meta) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return d.Replace(disk.MetaFile, append(data, '\n'), m.Beginning != nil || m.Outcome != "")
}
