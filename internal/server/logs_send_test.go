package server_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/server"
	"stint.dev/stint/job"
)

// printedLog is a server with a run whose log is known.
func printedLog(t *testing.T) (*live, *sketch, []byte) {
	t.Helper()
	l := start(t, server.Config{})
	s := newSketch(t, "j", nil).command()
	var all []byte
	for i := range 500 {
		piece := fmt.Appendf(nil, "%04d %s\n", i, strings.Repeat("x", i%97))
		s.print(0, []job.Stream{job.Stdout, job.Stderr}[i%2], piece)
		all = append(all, piece...)
	}
	s.finish(0)
	l.deliver(s, 0, 700)
	return l, s, all
}

func TestLogInParts(t *testing.T) {
	l, s, all := printedLog(t)
	log := "/api/v1/runs/" + s.id + "/log"
	n := len(all)
	tests := map[string]struct {
		status   int
		from, to int
	}{
		"bytes=0-9":                   {206, 0, 10},
		"bytes=12345-12350":           {206, 12345, 12351},
		"bytes=20000-":                {206, 20000, n},
		"bytes=-100":                  {206, n - 100, n},
		"bytes=-99999999":             {206, 0, n},
		"bytes=10-99999999":           {206, 10, n},
		"bytes=99999999-":             {416, 0, 0},
		"bytes=-0":                    {416, 0, 0},
		"bytes=9-5":                   {200, 0, n},
		"bytes=0-1,5-6":               {200, 0, n},
		"bytes=x-":                    {200, 0, n},
		"lines=1-2":                   {200, 0, n},
		"bytes=-":                     {200, 0, n},
		"bytes=99999999999999999999-": {200, 0, n},
	}
	for text, want := range tests {
		got := l.get(log, "Range", text)
		if got.status != want.status {
			t.Errorf("%s: status %d, want %d", text, got.status, want.status)
			continue
		}
		if want.status == 416 {
			got.problem(t, 416)
			continue
		}
		if !bytes.Equal(got.body, all[want.from:want.to]) {
			t.Errorf("%s: %d bytes, want %d", text, len(got.body), want.to-want.from)
		}
		if r := got.header.Get("Content-Range"); want.status == 206 && r != fmt.Sprintf("bytes %d-%d/%d", want.from, want.to-1, n) {
			t.Errorf("%s: Content-Range %q", text, r)
		}
	}
	head := l.do("HEAD", log, nil)
	tag := head.header.Get("ETag")
	if head.header.Get("Content-Length") != fmt.Sprint(n) || head.header.Get("Accept-Ranges") != "bytes" || tag == "" {
		t.Errorf("HEAD: %v", head.header)
	}
	if got := l.get(log, "If-None-Match", tag); got.status != http.StatusNotModified || len(got.body) != 0 {
		t.Errorf("the same again: %d, %d bytes", got.status, len(got.body))
	}
	if got := l.get(log, "Range", "bytes=5-9", "If-Range", tag); string(got.body) != string(all[5:10]) {
		t.Errorf("part of the same: %q", got.body)
	}
	if got := l.get(log, "Range", "bytes=5-9", "If-Range", `"other"`); got.status != http.StatusOK || len(got.body) != n {
		t.Errorf("part of another: %d, %d bytes", got.status, len(got.body))
	}
	if got := l.get(log+"?stream=stdout", "Range", "bytes=5-9"); got.status != http.StatusOK {
		t.Errorf("part of one stream: %d", got.status)
	}
}

func TestLogCompressed(t *testing.T) {
	l, s, all := printedLog(t)
	log := "/api/v1/runs/" + s.id + "/log"
	file := l.get(log+"?format=gzip&download=true", "Range", "bytes=0-3")
	if got := unzip(t, file.body); !bytes.Equal(got, all) {
		t.Errorf("%d bytes of %d", len(got), len(all))
	}
	if d := file.header.Get("Content-Disposition"); d != `attachment; filename="j-1.1.log.gz"` || file.header.Get("Content-Type") != "application/gzip" {
		t.Errorf("headers %v", file.header)
	}
	if got := unzip(t, l.get(log+"?format=gzip&from_line=3&lines=2").body); string(got) != "0002 xx\n0003 xxx\n" {
		t.Errorf("window %q", got)
	}
	l.get(log+"?format=zip").problem(t, http.StatusBadRequest)
	// On the link's other side, not on this machine, the client's word is enough.
	token := l.mint(access.Read, time.Time{}, time.Now())
	for from, want := range map[string]string{"192.0.2.7:1234": "gzip", "127.0.0.1:1234": ""} {
		req := httptest.NewRequestWithContext(t.Context(), "GET", "http://localhost"+log, nil)
		req.RemoteAddr = from
		req.Header.Set("Accept-Encoding", "br, gzip;q=0.8")
		req.Header.Set("Authorization", "Bearer "+token)
		rec := httptest.NewRecorder()
		l.srv.Handler().ServeHTTP(rec, req)
		if got := rec.Header().Get("Content-Encoding"); rec.Code != http.StatusOK || got != want {
			t.Errorf("%s: %d, encoding %q, want %q", from, rec.Code, got, want)
		}
		body := rec.Body.Bytes()
		if want != "" {
			body = unzip(t, body)
		}
		if !bytes.Equal(body, all) {
			t.Errorf("%s: %d bytes of %d", from, len(body), len(all))
		}
	}
}

func unzip(t *testing.T, data []byte) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestLogBetweenTimes(t *testing.T) {
	l := start(t, server.Config{})
	s := newSketch(t, "j", nil).command()
	begin := s.at
	for i := range 100 { // one millisecond apart
		s.print(0, job.Stdout, fmt.Appendf(nil, "%d\n", i))
	}
	s.finish(0)
	l.deliver(s, 0, 500)
	at := func(ms int) string { return begin.Add(time.Duration(ms) * time.Millisecond).Format(time.RFC3339Nano) }
	log := "/api/v1/runs/" + s.id + "/log?"
	for query, want := range map[string]string{
		"from_time=" + at(50) + "&to_time=" + at(53): "49\n50\n51\n52\n",
		"to_time=" + at(2):                           "0\n1\n",
		"from_line=10&to_time=" + at(11):             "9\n10\n",
		"from_time=" + at(99):                        "98\n99\n",
		"from_time=" + at(500):                       "",
		"to_time=" + at(0):                           "",
	} {
		if got := l.get(log + query); string(got.body) != want {
			t.Errorf("%s: %q, want %q", query, got.body, want)
		}
	}
	l.get(log+"tail=3&to_time="+at(2)).problem(t, http.StatusBadRequest)
}
