// Package events reads server-sent events.
package events

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"stint.dev/stint/job"
)

// maxEvent bounds one event in memory.
const maxEvent = 8 << 20

// Event is one server-sent event.
type Event struct {
	ID   string
	Type string
	Data []byte // JSON
}

// Output returns the bytes that an event of the type output carries.
func (e Event) Output() ([]byte, error) {
	var o struct{ Text, Base64 string } // base64 for what is not UTF-8
	if err := json.Unmarshal(e.Data, &o); err != nil {
		return nil, fmt.Errorf("output event: %w", err)
	}
	if o.Base64 == "" {
		return []byte(o.Text), nil
	}
	raw, err := base64.StdEncoding.DecodeString(o.Base64)
	if err != nil {
		return nil, fmt.Errorf("output event: %w", err)
	}
	return raw, nil
}

// Reader reads server-sent events as the HTML standard defines them.
type Reader struct{ r *bufio.Reader }

// NewReader reads events from r.
func NewReader(r io.Reader) *Reader {
	return &Reader{bufio.NewReaderSize(r, 64<<10)}
}

// Next returns the next event that has data. It returns the reader's error, io.EOF at the
// end, and an error for an event larger than 8 MiB.
func (e *Reader) Next() (Event, error) {
	var ev Event
	var data []byte
	for {
		line, err := e.line(maxEvent - len(data))
		if err != nil {
			return Event{}, err
		}
		if line == "" {
			if data != nil {
				ev.Data = data[:len(data)-1] // each data line added a newline
				if ev.Type == "" {
					ev.Type = "message"
				}
				return ev, nil
			}
			ev = Event{ID: ev.ID}
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "id":
			if !strings.Contains(value, "\x00") {
				ev.ID = value
			}
		case "event":
			ev.Type = value
		case "data":
			data = append(append(data, value...), '\n')
		}
	}
}

// line reads up to a newline and drops it and a carriage return before it.
func (e *Reader) line(most int) (string, error) {
	var whole []byte
	for {
		part, err := e.r.ReadSlice('\n')
		if len(whole)+len(part) > most {
			return "", fmt.Errorf("an event of more than %s", job.Bytes(maxEvent))
		}
		whole = append(whole, part...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return "", err
		}
		return strings.TrimSuffix(string(whole[:len(whole)-1]), "\r"), nil
	}
}

// Observe returns a reader that calls read after each read from r.
func Observe(r io.Reader, read func()) io.Reader { return &observed{r, read} }

type observed struct {
	r    io.Reader
	read func()
}

func (o *observed) Read(p []byte) (int, error) {
	n, err := o.r.Read(p)
	o.read()
	return n, err
}
