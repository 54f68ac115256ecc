// Package console is the output of commands for people: colours only on a terminal, tables,
// readable units, one line of progress, one line for an error.
package console

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/term"
	"stint.dev/stint/internal/agent/sink"
)

// Exit codes of stint itself; a job's own code is passed through.
const (
	ExitOK      = 0
	ExitFailed  = 1
	ExitUsage   = 2
	ExitNoStart = 125 // stint run could not do its own work before the job started
)

// ExitError ends the program with a code. Err, if any, is printed first.
type ExitError struct {
	Code int
	Err  error
	// Signal, unless it is 0, ends the program in place of Code.
	Signal syscall.Signal
}

func (e *ExitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

func (e *ExitError) Unwrap() error { return e.Err }

// Console is where a command reads and writes, and the environment it runs in.
type Console struct {
	In       *os.File
	Out, Err *os.File
	Getenv   func(string) string
	// Messages, if it is not nil, takes all messages in place of stderr. It must not make the caller wait.
	Messages func(text string)

	messages *sink.Messages                      // nil: messages are written at once
	mask     atomic.Pointer[func(string) string] // hides secrets in messages; nil for none
	lineEnd  string                              // of Say; empty is "\n"
}

// Quiet returns a console with another stdin that drops messages.
func (c *Console) Quiet(in *os.File) *Console {
	return &Console{In: in, Out: c.Out, Err: c.Err, Getenv: c.Getenv, Messages: func(string) {}}
}

// flushLimit bounds the wait, at the end, for a reader of stderr that does not read.
const flushLimit = time.Second

// NeverWait queues messages from here on, so that writing one never waits for stderr: a message
// that finds no room while stderr is not read is dropped and counted.
func (c *Console) NeverWait() {
	c.messages = sink.NewMessages(c.Err, func(dropped int) string {
		return fmt.Sprintf("stint: messages dropped, because stderr could not be written: %d%s", dropped, c.end())
	})
}

// Flush waits until messages are written, but not long for a reader that does not read.
func (c *Console) Flush() {
	if c.messages != nil {
		c.messages.Flush(flushLimit)
	}
}

// MaskMessages hides secrets in all messages from here on.
func (c *Console) MaskMessages(mask func(string) string) { c.mask.Store(&mask) }

// RawTerminal makes Say return the carriage too: its lines come on a terminal that does not.
func (c *Console) RawTerminal() { c.lineEnd = "\r\n" }

// end returns the end of a line.
func (c *Console) end() string { return cmp.Or(c.lineEnd, "\n") }

// message returns a text as part of a message: cleaned, with secrets masked.
func (c *Console) message(text string) string {
	if mask := c.mask.Load(); mask != nil {
		text = (*mask)(text)
	}
	return Clean(text)
}

// writeMessage writes a message to stderr, or queues it.
func (c *Console) writeMessage(text string) {
	if c.Messages != nil {
		c.Messages(text)
		return
	}
	if c.messages != nil {
		c.messages.Add(text)
		return
	}
	_, _ = io.WriteString(c.Err, text) // an error of stderr cannot be reported anywhere
}

// Report prints an error on stderr in one line; nothing for none, and for an exit code without a message.
func (c *Console) Report(program string, err error) {
	var exit *ExitError
	if errors.As(err, &exit) {
		err = exit.Err
	}
	if err != nil {
		c.writeMessage(fmt.Sprintf("%s: %s\n", program, c.message(err.Error())))
	}
}

// Say writes one line to stderr.
func (c *Console) Say(format string, args ...any) {
	start := ""
	if c.lineEnd != "" {
		start = "\r"
	}
	c.writeMessage(start + "stint: " + c.message(fmt.Sprintf(format, args...)) + c.end())
}

// IsTerminal reports whether f is one that understands colours and cursor movement.
func (c *Console) IsTerminal(f *os.File) bool {
	return c.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}

// Colours reports whether to write colours to f: it is a terminal, and NO_COLOR is not set.
func (c *Console) Colours(f *os.File) bool {
	return c.Getenv("NO_COLOR") == "" && c.IsTerminal(f)
}

// Width returns the number of columns of the terminal behind f; 0 when it is none.
func (c *Console) Width(f *os.File) int {
	if !c.IsTerminal(f) {
		return 0
	}
	w, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return w
}

// Clean makes a string from outside safe to print on one line: control characters and
// what would reorder or hide text are shown as escapes.
func Clean(s string) string {
	if utf8.ValidString(s) && strings.IndexFunc(s, unsafe) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unsafe(r) {
			q := fmt.Sprintf("%+q", r)
			b.WriteString(strings.Trim(q, "'"))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func unsafe(r rune) bool {
	return r != ' ' && !unicode.IsGraphic(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
}

// Style writes text in colour when the destination wants it.
type Style struct{ on bool }

// StyleFor returns the style for f.
func (c *Console) StyleFor(f *os.File) Style { return Style{c.Colours(f)} }

// The palette: the terminal's own colours, so that light and dark themes both work.
func (s Style) paint(code, text string) string {
	if !s.on || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// Bold, Muted and the rest colour a text.
func (s Style) Bold(t string) string    { return s.paint("1", t) }
func (s Style) Muted(t string) string   { return s.paint("2", t) }
func (s Style) Blue(t string) string    { return s.paint("34", t) }
func (s Style) Green(t string) string   { return s.paint("32", t) }
func (s Style) Red(t string) string     { return s.paint("31", t) }
func (s Style) Yellow(t string) string  { return s.paint("33", t) }
func (s Style) Magenta(t string) string { return s.paint("35", t) }

// PrintJSON writes v to stdout, indented.
func (c *Console) PrintJSON(v any) error {
	var text strings.Builder
	enc := json.NewEncoder(&text)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write the answer as JSON: %w", err)
	}
	return WriteAll(c.Out, EscapeJSON(text.String()))
}

// EscapeJSON writes what a terminal would interpret, or not show, as JSON escapes. A
// reader of the JSON gets the same text.
func EscapeJSON(text string) string {
	var out strings.Builder
	for _, r := range text {
		switch {
		case r == '\n' || !unsafe(r):
			out.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return out.String()
}

// WriteAll writes text to w. A reader that has gone away (a closed pipe) is how people
// stop a listing, so it comes back as *ExitError without a message.
func WriteAll(w io.Writer, text string) error {
	if _, err := io.WriteString(w, text); err != nil {
		return Broken(err)
	}
	return nil
}
