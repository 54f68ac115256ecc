package stdio

import (
	"errors"
	"io"
	"testing"

	"stint.dev/stint/internal/agent/process/terminal"
	"stint.dev/stint/internal/agent/record"
	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/journal"
)

// notes are those of a journal.
func notes(t *testing.T, j io.ReaderAt) (texts []string) {
	t.Helper()
	data, err := io.ReadAll(io.NewSectionReader(j, 0, 1<<40))
	if err != nil {
		t.Fatal(err)
	}
	for at := int64(journal.HeaderSize); at < int64(len(data)); {
		r, n, err := journal.Next(data[at:], at)
		if err != nil {
			t.Fatal(err)
		}
		if at += int64(n); r.Type != journal.TypeNote {
			continue
		}
		var note journal.Note
		if err := journal.Decode(r, &note); err != nil {
			t.Fatal(err)
		}
		texts = append(texts, note.Text)
	}
	return texts
}

// Changes of the window's size that the command's terminal cannot follow are noted once.
func TestResizeOfATerminalThatIsGone(t *testing.T) {
	master, slave, err := terminal.Open(terminal.Size{Columns: 80, Rows: 24})
	if err != nil {
		t.Skipf("this machine gives no pseudo-terminal: %v", err)
	}
	slave.Close()
	master.Close()
	rec := record.New(record.Config{Journal: spool.InMemory(spool.Meta{Run: "run"}, spool.Limits{}, errors.New("no disk")), Print: func(string) {}})
	s := New(Config{TTY: true}, rec, nil, nil)
	s.master = master
	for range 10 {
		s.Resize(0)
	}
	if notes := notes(t, rec.Journal()); len(notes) != 1 {
		t.Errorf("notes %q", notes)
	}
}
