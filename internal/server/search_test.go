package server_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/server"
	"stint.dev/stint/job"
)

type searchLine struct {
	Line    int64
	Text    string
	Ranges  [][2]int
	Cut     bool
	Context bool
	Done    *struct {
		Matches, Bytes, Lines int64
		Stopped               string
		NextLine              int64 `json:"next_line"`
	}
}

func (l *live) search(s *sketch, query string) []searchLine {
	l.t.Helper()
	r := l.get("/api/v1/runs/" + s.id + "/log/search?" + query)
	if r.status != http.StatusOK {
		l.t.Fatalf("status %d: %s", r.status, r.body)
	}
	var out []searchLine
	for line := range bytes.Lines(r.body) {
		var one searchLine
		if err := json.Unmarshal(line, &one); err != nil {
			l.t.Fatal(err)
		}
		if !bytes.Contains(line, []byte(`{"progress":`)) {
			out = append(out, one)
		}
	}
	if len(out) == 0 || out[len(out)-1].Done == nil {
		l.t.Fatalf("the answer does not end with done: %.300s", r.body)
	}
	return out
}

func TestSearchOfALongLog(t *testing.T) {
	const lines = 100_000
	l := start(t, server.Config{SearchTimeout: time.Hour}) // on a busy machine, too, a search reaches the end
	s := newSketch(t, "long", nil).command()
	var piece bytes.Buffer
	for n := 1; n <= lines; n++ {
		word := "nothing"
		if n%10_000 == 0 {
			word = "Needle"
		}
		fmt.Fprintf(&piece, "line %d has %s in it\n", n, word)
		if piece.Len() > 60_000 || n == lines { // cuts fall inside lines
			b := piece.Bytes()
			s.print(0, job.Stdout, b[:len(b)-9])
			s.print(0, job.Stdout, b[len(b)-9:])
			piece.Reset()
		}
	}
	s.finish(0)
	l.deliver(s, 0, 200<<10)

	got := l.search(s, "q=needle")
	if len(got) != 11 || got[0].Line != 10_000 || got[9].Line != 100_000 || got[0].Text != "line 10000 has Needle in it" {
		t.Fatalf("found %+v", got)
	}
	if r := got[0].Ranges; len(r) != 1 || got[0].Text[r[0][0]:r[0][1]] != "Needle" {
		t.Errorf("ranges %v", r)
	}
	done := got[10].Done
	run := l.run(s.id)
	if done.Matches != 10 || done.Lines != lines || done.Bytes != run.Output.Bytes || done.Stopped != "" || done.NextLine != lines+1 {
		t.Errorf("done %+v", done)
	}
	for query, want := range map[string]int64{
		"q=needle&case=true&limit=0":                                   0,
		"q=Needle&case=true&limit=0":                                   10,
		"q=NEEDLE+in&limit=0&from_line=10001":                          9,
		"q=needle&limit=0&to_line=9999":                                0,
		"q=" + url.QueryEscape(`line \d*5 .*`) + "&regex=true&limit=0": 10_000,
		"q=it&limit=0":                   lines,
		"q=needle&limit=0&stream=stderr": 0,
		"q=needle&limit=0&step=command":  10,
	} {
		if got := l.search(s, query); got[0].Done == nil || got[0].Done.Matches != want {
			t.Errorf("%s: %+v, done %+v, want %d matches", query, got[0], got[0].Done, want)
		}
	}
	back := l.search(s, "q=needle&direction=back&to_line=55000&limit=1")
	if len(back) != 2 || back[0].Line != 50_000 || back[1].Done.Stopped != "limit" || back[1].Done.NextLine != 49_999 {
		t.Errorf("the match before: %+v", back)
	}
	next := l.search(s, "q=needle&from_line=10001&limit=1&before=2&after=1")
	if len(next) != 5 || next[0].Line != 19_998 || !next[0].Context || next[2].Line != 20_000 || next[2].Context || next[3].Line != 20_001 {
		t.Errorf("the next match: %+v", next)
	}
}

func TestSearchOfALineWithoutEnd(t *testing.T) {
	l := start(t, server.Config{})
	s := newSketch(t, "bar", nil).command().output("first\n")
	for i := range 60 {
		s.print(0, job.Stderr, bytes.Repeat([]byte("\r50% of it"), 10_000))
		s.output(fmt.Sprintf("line %d\n", i))
		if i == 30 {
			s.print(0, job.Stderr, []byte("here it is: \xff needle"))
		}
	}
	s.finish(0)
	l.deliver(s, 0, 500<<10)
	for _, query := range []string{"q=needle", "q=needle&direction=back", "q=ne%2Bdle&regex=true", "q=NEEDLE"} {
		if strings.Contains(query, "NEEDLE") {
			query += "&before=0&after=0"
		}
		got := l.search(s, query)
		if len(got) != 2 || got[0].Line != 2 || !got[0].Cut || len(got[0].Text) > 9<<10 {
			t.Fatalf("%s: %.300v", query, got)
		}
		r := got[0].Ranges
		if len(r) != 1 || got[0].Text[r[0][0]:r[0][1]] != "needle" || !strings.Contains(got[0].Text, "is: \uFFFD needle") {
			t.Errorf("%s: ranges %v", query, r)
		}
	}
}

func TestSearchesThatAreRefused(t *testing.T) {
	l := start(t, server.Config{})
	s := newSketch(t, "j", nil).command().output("x\n")
	l.deliver(s, 0, 1<<20)
	for query, want := range map[string]struct {
		status int
		says   string
	}{
		"":                               {400, "empty"},
		"q=" + strings.Repeat("x", 1001): {400, "1001 bytes"},
		"q=a%0Ab":                        {400, "one line"},
		"q=%ff":                          {400, "not text"},
		"q=a(&regex=true":                {422, "missing closing )"},
		"q=(x{900}){900}&regex=true":     {422, "repe"},
		"q=((a{30}){30}b{90}){1}&regex=true&case=true": {200, ""},
		"q=a&regex=maybe":             {400, "true or false"},
		"q=a&direction=up":            {400, "forward or back"},
		"q=a&direction=back&before=1": {400, "from_line"},
		"q=a&direction=back&limit=0":  {400, "counts"},
		"q=a&before=101":              {400, "100"},
		"q=a&limit=10001":             {400, "10000"},
		"q=a&step=nobody":             {404, "nobody"},
		"q=a&attempt=2":               {404, "attempt 2"},
		"q=a&colour=red":              {400, "colour"},
	} {
		r := l.get("/api/v1/runs/" + s.id + "/log/search?" + query)
		if want.status == http.StatusOK {
			if r.status != want.status {
				t.Errorf("%s: %s", query, r.body)
			}
			continue
		}
		if p := r.problem(t, want.status); !strings.Contains(p.Detail, want.says) {
			t.Errorf("%s: %s", query, p.Detail)
		}
	}
}

// A search that takes too long says where to go on; going on finds everything.
func TestSearchIsBoundedInTime(t *testing.T) {
	l := start(t, server.Config{SearchTimeout: time.Nanosecond})
	s := newSketch(t, "j", nil).command()
	for range 50 {
		s.output("one match here\nand nothing here\n")
	}
	s.finish(0)
	l.deliver(s, 0, 300)
	from, found := int64(1), int64(0)
	for searches := 0; ; searches++ {
		if searches > 200 {
			t.Fatal("it does not get on")
		}
		got := l.search(s, fmt.Sprintf("q=match&from_line=%d", from))
		done := got[len(got)-1].Done
		found += done.Matches
		if done.Stopped == "" {
			break
		}
		if done.Stopped != "time" || done.NextLine <= from {
			t.Fatalf("done %+v, began at %d", done, from)
		}
		from = done.NextLine
	}
	if found != 50 {
		t.Errorf("found %d in all", found)
	}
}

// A client that does not read the answers to its searches loses its places to others.
func TestUnreadSearchesMakeRoom(t *testing.T) {
	l := start(t, server.Config{MaxSearches: 2, WriteTimeout: time.Hour, SearchTimeout: time.Hour})
	s := newSketch(t, "j", nil).command()
	for range 40 {
		s.output(strings.Repeat("a line that is found, and long enough to fill what the system buffers\n", 3000))
	}
	l.deliver(s, 0, 4<<20)
	path := "/api/v1/runs/" + s.id + "/log/search?q=line&limit=10000&before=0"
	for range 2 {
		conn, err := net.Dial("tcp", l.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
			t.Fatal(err)
		}
		l.write(conn, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
	}
	// A busy machine needs longer than a search waits to see that nobody reads.
	for try := 0; l.get("/api/v1/runs/"+s.id+"/log/search?q=found&limit=1").status == http.StatusTooManyRequests; try++ {
		if try == 20 {
			t.Fatal("no search that nobody reads makes room")
		}
	}
	for range 3 {
		if got := l.search(s, "q=found&limit=1"); len(got) != 2 {
			t.Errorf("%d lines", len(got))
		}
	}
}

// Who leaves frees the place for another search.
func TestSearchEndsWhenTheClientLeaves(t *testing.T) {
	l := start(t, server.Config{MaxSearches: 1})
	s := newSketch(t, "j", nil).command()
	row := strings.Repeat("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n", 20_000)
	for range 20 {
		s.output(row)
	}
	l.deliver(s, 0, 4<<20)
	for range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, "GET", l.url+"/api/v1/runs/"+s.id+"/log/search?limit=10000&regex=true&q="+url.QueryEscape("(a|aa)+$"), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := bufio.NewReader(resp.Body).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		cancel()
		resp.Body.Close()
	}
	if got := l.search(s, "q=b"); got[0].Done.Matches != 0 {
		t.Errorf("found %+v", got)
	}
}
