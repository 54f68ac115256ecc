package client_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"stint.dev/stint/client"
)

// A search that the server ended early goes on where it stopped; one that breaks off is
// asked for again, and no line comes twice.
func TestSearchGoesOn(t *testing.T) {
	tests := map[string]struct {
		answers []string
		lines   []int64
		matches int64
		fails   error
	}{
		"at once": {[]string{`{"line":3,"text":"a"}` + "\n" + `{"progress":{"bytes":1}}` + "\n" + `{"done":{"matches":1,"stopped":""}}`}, []int64{3}, 1, nil},
		"in parts": {[]string{
			`{"line":3,"text":"a"} {"done":{"matches":1,"stopped":"limit","next_line":4}}`,
			`{"done":{"matches":0,"stopped":"time","next_line":9}}`,
			`{"line":9,"text":"a"} {"done":{"matches":1,"stopped":""}}`,
		}, []int64{3, 9}, 2, nil},
		"cut short": {[]string{
			`{"line":3,"text":"a"} {"line":4,"text":"a"}`, // without an end
			`{"line":3,"text":"a"} {"line":4,"te`,
			`{"line":3,"text":"a"} {"done":{"matches":1,"stopped":"time","next_line":4}}`,
			`{"line":4,"text":"a"} {"line":5,"text":"a"} {"done":{"matches":2,"stopped":""}}`,
		}, []int64{3, 4, 5}, 3, nil},
		"does not move on": {[]string{`{"done":{"matches":0,"stopped":"time","next_line":1}}`}, nil, 0, errors.ErrUnsupported},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			calls := 0
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Query().Get("q") != "a+b" || r.URL.Path != "/api/v1/runs/j#1/log/search" {
					t.Errorf("asked for %s", r.URL)
				}
				w.Header().Set("Stint-Log-Attempt", "1")
				_, _ = fmt.Fprintln(w, tt.answers[calls])
				calls++
			}))
			defer s.Close()
			c, err := client.New(client.Options{URL: s.URL})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			var lines []int64
			n, err := c.Search(t.Context(), "j#1", client.SearchQuery{Text: "a+b", FromLine: 1}, func(l client.SearchLine) error {
				lines = append(lines, l.Line)
				return nil
			})
			if n != tt.matches || !slices.Equal(lines, tt.lines) || (err == nil) != (tt.fails == nil) {
				t.Errorf("%d matches, lines %v, %v", n, lines, err)
			}
		})
	}
}
