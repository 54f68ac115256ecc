package transport

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// door lets requests with one token in.
type door struct {
	valid string
	seen  []string // tokens of the requests, with their bodies
}

func (d *door) CloseIdleConnections() {}

func (d *door) RoundTrip(req *http.Request) (*http.Response, error) {
	body := ""
	if req.Body != nil {
		text, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		body = string(text)
	}
	token := strings.TrimPrefix(req.Header.Get("Authorization"), bearer)
	d.seen = append(d.seen, token+" "+body)
	status := http.StatusOK
	if token != d.valid {
		status = http.StatusUnauthorized
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader("reply"))}, nil
}

// file is the place of a token.
type file struct {
	text  string
	err   error
	reads int
}

func (f *file) read() (string, error) { f.reads++; return f.text, f.err }

func TestTokenThatIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, f := &door{valid: "old"}, &file{text: "old"}
		var reports []string
		token := NewToken("old", f.read, func(text string) { reports = append(reports, text) })
		through := token.Transport(d)
		send := func(value string, body io.Reader) int {
			t.Helper()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://server/", body)
			if err != nil {
				t.Fatal(err)
			}
			SetToken(req, value)
			d.seen = nil
			resp, err := through.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			if text, err := io.ReadAll(resp.Body); string(text) != "reply" || err != nil {
				t.Errorf("the reply is %q, %v", text, err)
			}
			return resp.StatusCode
		}
		is := func(what string, status, want, reads int, value string, seen ...string) {
			t.Helper()
			if status != want || f.reads != reads || token.Value() != value || !slices.Equal(d.seen, seen) {
				t.Errorf("%s: status %d, read %d times, token %q, requests %q", what, status, f.reads, token.Value(), d.seen)
			}
		}
		is("accepted", send("old", strings.NewReader("b")), 200, 0, "old", "old b")
		d.valid = "new"
		is("the file is unchanged", send("old", strings.NewReader("b")), 401, 1, "old", "old b")
		f.text = "new"
		is("too soon", send("old", strings.NewReader("b")), 401, 1, "old", "old b")
		<-time.After(tokenInterval)
		is("of an attempt", send("other", strings.NewReader("b")), 401, 1, "old", "other b")
		is("no token", send("", strings.NewReader("b")), 401, 1, "old", " b")
		is("a body that cannot be repeated", send("old", io.MultiReader(strings.NewReader("b"))), 401, 1, "old", "old b")
		f.text, f.err = "", errors.New("it is empty")
		is("an empty file", send("old", strings.NewReader("b")), 401, 2, "old", "old b")
		if len(reports) != 1 || !strings.Contains(reports[0], "it is empty") {
			t.Errorf("reports %q", reports)
		}
		<-time.After(tokenInterval)
		f.text, f.err = "ne", nil
		is("half written", send("old", strings.NewReader("b")), 401, 3, "old", "old b", "ne b")
		<-time.After(tokenInterval)
		f.text = "new"
		is("replaced", send("old", strings.NewReader("b")), 200, 4, "new", "old b", "new b")
		is("another request with the old one", send("old", nil), 200, 4, "new", "old ", "new ")
		is("with the new one", send("new", nil), 200, 4, "new", "new ")
	})
}

// A token that stays is not replaced.
func TestTokenThatStays(t *testing.T) {
	d := &door{valid: "new"}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://server/", nil)
	if err != nil {
		t.Fatal(err)
	}
	SetToken(req, "old")
	resp, err := NewToken("old", nil, nil).Transport(d).RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusUnauthorized || len(d.seen) != 1 {
		t.Errorf("%v, %v, requests %q", resp, err, d.seen)
	}
}
