package client

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"stint.dev/stint/job"
)

// A process that takes a journal over sends a number that is greater than all before it, and appends
// with that number.
func TestTakeOver(t *testing.T) {
	var asked []string
	answers := []string{
		`409 {"type":"urn:stint:journal-taken","status":409,"writer":4}`,
		`409 {"type":"urn:stint:journal-taken","status":409,"writer":5}`,
		`409 {"type":"urn:stint:wrong-offset","status":409,"size":9}`,
		`200 {"run":"R","attempt":1,"size":10}`,
		`200 {"run":"R","attempt":1,"size":11}`,
		`200 {"run":"R","attempt":1,"size":12}`,
		`409 {"type":"urn:stint:wrong-offset","status":409,"size":13}`,
		`200 {"run":"R","attempt":1,"size":14}`,
	}
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // what came is compared by length
		asked = append(asked, fmt.Sprint(r.URL.Query().Get("offset"), " by ", r.URL.Query().Get("writer"), ": ", r.ContentLength > 0))
		status, body, _ := strings.Cut(answers[len(asked)-1], " ")
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(map[string]int{"200": 200, "409": 409}[status])
		_, _ = io.WriteString(w, body)
	})
	w, _, err := c.TakeOver(t.Context(), "R", 1, 7)
	var p *job.Problem
	if w == nil || !errors.As(err, &p) || p.Size == nil || *p.Size != 9 {
		t.Fatalf("writer %v, error %v", w, err)
	}
	_, first := w.Append(t.Context(), "R", 1, 9, []byte("x"))
	_, second := w.AppendFrom(t.Context(), "R", 1, 10, 1, strings.NewReader("the journal"))
	_, third := w.AppendCompressed(t.Context(), "R", 1, 11, []byte("x"))
	// A reply was lost: the writer asks again how long the journal is.
	_, again := w.Append(t.Context(), "R", 1, 12, nil)
	if !errors.As(again, &p) || p.Size == nil || *p.Size != 13 {
		t.Errorf("asked again: %v", again)
	}
	_, fourth := w.Append(t.Context(), "R", 1, 13, []byte("x"))
	if err := errors.Join(first, second, third, fourth); err != nil {
		t.Fatal(err)
	}
	want := []string{"7 by 1: false", "7 by 5: false", "7 by 6: false", "9 by 6: true", "10 by 6: true", "11 by 6: true", "12 by 7: false", "13 by 7: true"}
	if !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
}
