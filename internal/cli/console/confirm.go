package console

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/term"
)

// maxAnswer is the most bytes of an answer that are read.
const maxAnswer = 100

// CanAsk reports whether Confirm asks a person: stdin and stderr are terminals.
func (c *Console) CanAsk() bool {
	return term.IsTerminal(int(c.In.Fd())) && term.IsTerminal(int(c.Err.Fd()))
}

// Confirm asks a person at the terminal a question, and reports whether the answer is yes.
// Where stdin or stderr is no terminal it asks nothing: the answer is yes.
func (c *Console) Confirm(format string, args ...any) (bool, error) {
	if !c.CanAsk() {
		return true, nil
	}
	c.writeMessage(c.message(fmt.Sprintf(format, args...)) + " [y/N] ")
	c.Flush()
	var line []byte
	for one := make([]byte, 1); len(line) < maxAnswer; line = append(line, one...) {
		if _, err := c.In.Read(one); err != nil && !errors.Is(err, io.EOF) {
			return false, fmt.Errorf("read the answer from the terminal: %w", err)
		} else if err != nil || one[0] == '\n' {
			break
		}
	}
	switch strings.ToLower(strings.TrimSpace(string(line))) {
	case "y", "yes":
		return true, nil
	}
	return false, nil
}
