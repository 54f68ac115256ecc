package events

import (
	"errors"
	"io"
	"strings"
	"testing"
)

func TestReader(t *testing.T) {
	in := ": comment\n\nid: 1\nevent: output\ndata: {\"a\":1}\n\n" +
		"data: two\r\ndata:lines\r\n\r\n" +
		"event: dropped because it has no data\n\n" +
		"id: 2\nunknown: x\ndata\n\n" +
		"data: the last one is not finished\n"
	r := NewReader(strings.NewReader(in))
	want := []Event{
		{"1", "output", []byte(`{"a":1}`)},
		{"", "message", []byte("two\nlines")},
		{"2", "message", []byte("")},
	}
	for i, w := range want {
		got, err := r.Next()
		if err != nil || got.ID != w.ID || got.Type != w.Type || string(got.Data) != string(w.Data) {
			t.Fatalf("event %d: got %+v, %v; want %+v", i, got, err, w)
		}
	}
	if ev, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Fatalf("got %+v, %v; want io.EOF", ev, err)
	}
}

func TestReaderRefusesAFlood(t *testing.T) {
	r := NewReader(io.MultiReader(strings.NewReader("data: "), endless{}))
	if _, err := r.Next(); err == nil || !strings.Contains(err.Error(), "8 MiB") {
		t.Fatalf("got %v, want a refusal that names the limit", err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestOutput(t *testing.T) {
	for data, want := range map[string]string{`{"text":"a\n"}`: "a\n", `{"base64":"/w=="}`: "\xff", `{}`: ""} {
		if got, err := (Event{Type: "output", Data: []byte(data)}).Output(); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", data, got, err, want)
		}
	}
	for _, data := range []string{"", "[]", `{"base64":"?"}`} {
		if got, err := (Event{Data: []byte(data)}).Output(); err == nil {
			t.Errorf("%s: %q without an error", data, got)
		}
	}
}
