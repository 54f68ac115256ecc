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
	"time"

	"stint.dev/stint/journal"
)

const metaFile = "meta.json"

// Meta says whose journal this is and where it is meant to go.
type Meta struct {
	Run       string    `json:"run"`
	Attempt   int       `json:"attempt"`
	Job       string    `json:"job"`
	Server    string    `json:"server,omitempty"` // URL without credentials
	CreatedAt time.Time `json:"created_at"`
	PID       int       `json:"pid,omitempty"` // of the agent that made it
	Host      Host      `json:"host"`          // of the agent that made it
	// Acknowledged is how far the server was when the journal was closed; it may be
	// further. Asking it is the rule, this the first guess.
	Acknowledged int64 `json:"acknowledged,omitempty"`
	// Beginning is what must be known of the segments that were deleted; nil while there
	// are none.
	Beginning *journal.Checkpoint `json:"beginning,omitempty"`
	// Refused is why the server will never take this journal; empty while it may.
	Refused string `json:"refused,omitempty"`
}

// readMeta reads the meta file of a journal. One that is missing or damaged, as after a power
// cut, is no reason to leave the journal: all that it says but the server and the deleted
// segments is in the journal itself.
func readMeta(dir string) (Meta, error) {
	var m Meta
	path := filepath.Join(dir, metaFile)
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &m)
		if err == nil && m.Run == "" {
			err = errors.New("it names no run")
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return m, fmt.Errorf("spool: read %s: %w", path, err)
	}
	if err == nil {
		return m, nil
	}
	m, known := rebuildMeta(dir)
	if !known {
		return m, fmt.Errorf("spool: read %s: %w", path, err)
	}
	return m, nil
}

// rebuildMeta makes a meta of a journal's name and of its first record, where that is whole.
func rebuildMeta(dir string) (m Meta, known bool) {
	run, attempt, ok := strings.Cut(filepath.Base(dir), ".")
	n, err := strconv.Atoi(attempt)
	if !ok || err != nil {
		return m, false
	}
	m.Run, m.Attempt = run, n
	if a, ok := firstRecord(dir); ok && a.Run == run && a.Attempt == n {
		m.Job, m.PID, m.Host = a.Job, a.AgentPID, Host{Name: a.Host, BootID: a.BootID}
	}
	return m, true
}

func firstRecord(dir string) (a journal.Attempt, ok bool) {
	file, err := os.Open(filepath.Join(dir, journalFile))
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

// writeMeta replaces the meta file in one step. What cannot be known without it has to survive
// a loss of power; the rest can be read from the journal.
func writeMeta(d disk, m Meta) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return d.Replace(metaFile, append(data, '\n'), m.Beginning != nil)
}
