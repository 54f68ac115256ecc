package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"stint.dev/stint/client/internal/resume"
	"stint.dev/stint/job"
)

// logServer answers a log, and cuts every answer after so many bytes.
type logServer struct {
	data   []byte
	ranges bool
	cuts   []int // bytes of each answer; what follows is whole
	// later changes the log after each answer; nil for a log that stays as it is.
	later func(data []byte) []byte

	mu    sync.Mutex
	asked []string
}

// requests is what was asked for.
func (l *logServer) requests() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.asked)
}

func (l *logServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock() // the next request may come before this one's handler has returned
	defer l.mu.Unlock()
	if l.later != nil {
		defer func() { l.data = l.later(l.data) }()
	}
	l.asked = append(l.asked, r.URL.Path+"?"+r.URL.RawQuery+" "+r.Header.Get("Range"))
	h := w.Header()
	h.Set("Stint-Log-Run", someRun)
	h.Set("Stint-Log-Attempt", "2")
	h.Set("Stint-Log-Bytes", strconv.Itoa(len(l.data)))
	h.Set("Stint-Log-Lines", strconv.Itoa(bytes.Count(l.data, []byte("\n"))))
	body := l.data
	if text, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok && l.ranges {
		var from, to int
		if _, err := fmt.Sscanf(text, "%d-%d", &from, &to); err != nil || from >= len(body) {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, len(body)))
		body = body[from : to+1]
		h.Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(http.StatusPartialContent)
	}
	if len(l.cuts) > 0 && l.cuts[0] < len(body) {
		body, l.cuts = body[:l.cuts[0]], l.cuts[1:]
		_, _ = w.Write(body) // the client reports any error
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(body)
}

// Wherever answers break off, and whether or not the server knows ranges, the writer gets
// every byte once.
func TestLogGoesOnWhereItBrokeOff(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := &logServer{
			data:   rapid.SliceOfN(rapid.Byte(), 0, 5000).Draw(rt, "log"),
			ranges: rapid.Bool().Draw(rt, "ranges"),
			// Those that bring nothing are followed by a pause, so they are few.
			cuts: rapid.SliceOfN(rapid.IntRange(1, 2000), 0, 5).Draw(rt, "cuts"),
		}
		q := rapid.SampledFrom([]LogQuery{{}, {Attempt: 2}, {FromLine: 1}, {Stream: "stdout"}}).Draw(rt, "query")
		if l.ranges = l.ranges && !(q.FromLine > 0 || q.Stream != ""); !l.ranges {
			sum := 0
			for i := range l.cuts { // each gets further than the one before
				sum += l.cuts[i]
				l.cuts[i] = sum
			}
		}
		c := serve(t, l.ServeHTTP)
		var got bytes.Buffer
		err := c.Log(t.Context(), &got, "job#7", q, rapid.Bool().Draw(rt, "as lines"))
		if err != nil || !bytes.Equal(got.Bytes(), l.data) {
			rt.Fatalf("%d bytes of %d, %v, asked %q", got.Len(), len(l.data), err, l.requests())
		}
		for _, asked := range l.requests()[1:] {
			if !strings.HasPrefix(asked, "/api/v1/runs/"+someRun+"/log?") || !strings.Contains(asked, "attempt=2") {
				rt.Fatalf("asked for %s, not for the log that was begun", asked)
			}
		}
	})
}

// What was printed while a log was read is not part of it; the last lines stay the same.
func TestLogThatGrowsWhileItIsRead(t *testing.T) {
	for _, ranges := range []bool{true, false} {
		l := &logServer{data: []byte("one\ntwo\nthree\n"), ranges: ranges, cuts: []int{5}}
		l.later = func(data []byte) []byte { return append(data, "four\n"...) }
		c := serve(t, l.ServeHTTP)
		var got bytes.Buffer
		if err := c.Log(t.Context(), &got, "x", LogQuery{}, false); err != nil || got.String() != "one\ntwo\nthree\n" {
			t.Errorf("ranges %v: %q, %v", ranges, got.String(), err)
		}
	}
	l := &logServer{data: []byte("one\ntwo\nthree\n"), cuts: []int{5}}
	c := serve(t, l.ServeHTTP)
	if err := c.Log(t.Context(), &bytes.Buffer{}, "x", LogQuery{Tail: 2}, false); err != nil {
		t.Fatal(err)
	}
	asked := l.requests()
	if want := []string{"tail=2 ", "attempt=2&from_line=2&lines=2 "}; len(asked) != 2 || !strings.HasSuffix(asked[0], want[0]) || !strings.HasSuffix(asked[1], want[1]) {
		t.Errorf("asked %q, want %q", asked, want)
	}
}

// A log that is another one by now is not put together from two.
func TestLogThatChangesWhileItIsRead(t *testing.T) {
	for name, later := range map[string]string{"other bytes": "ONE\ntwo\n", "fewer": "one"} {
		l := &logServer{data: []byte("one\ntwo\nthree\n"), cuts: []int{5}}
		l.later = func([]byte) []byte { return []byte(later) }
		c := serve(t, l.ServeHTTP)
		var got bytes.Buffer
		err := c.Log(t.Context(), &got, "x", LogQuery{}, false)
		if err == nil || !strings.Contains(err.Error(), "has changed") || got.String() != "one\nt" {
			t.Errorf("%s: %q, %v", name, got.String(), err)
		}
	}
}

// What the server refuses later, and what is not a log, ends the copy with that error.
func TestLogThatIsGoneLater(t *testing.T) {
	l := &logServer{data: []byte("one\ntwo\n"), cuts: []int{3}}
	var answers atomic.Int32
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if answers.Add(1) == 1 {
			l.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", problemJSON)
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"type":"urn:stint:not-found","title":"Not Found","status":404}`)
	})
	var got bytes.Buffer
	var p *job.Problem
	if err := c.Log(t.Context(), &got, "x", LogQuery{}, false); !errors.As(err, &p) || got.String() != "one" || answers.Load() != 2 {
		t.Errorf("%q, %v", got.String(), err)
	}
	page := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>sign in</html>") })
	var foreign *ForeignReplyError
	got.Reset()
	if err := page.Log(t.Context(), &got, "x", LogQuery{}, false); !errors.As(err, &foreign) || got.Len() != 0 {
		t.Errorf("%q, %v", got.String(), err)
	}
}

// What broke off is asked for again at once, then with growing pauses, for a minute without
// anything more; and not at all after the caller's own error, or the end of its context.
func TestResume(t *testing.T) {
	broke := func() error { return &resume.BrokenOffError{Err: &UnreachableError{"http://h", errors.New("cut")}} }
	own := errors.New("own")
	for _, tt := range []struct {
		name   string
		repeat func(n int) (bool, error)
		tries  int
		took   time.Duration
		ok     bool
	}{
		{"comes back", func(n int) (bool, error) { return true, nil }, 1, 0, true},
		{"brings a little each time", func(n int) (bool, error) {
			if n < 500 {
				return true, broke()
			}
			return true, nil
		}, 500, 0, true},
		{"away for a while", func(n int) (bool, error) {
			if n < 4 {
				return false, broke()
			}
			return true, nil
		}, 4, 200*time.Millisecond + 400*time.Millisecond + 800*time.Millisecond, true},
		{"away for good", func(int) (bool, error) { return false, broke() }, 17, 61200 * time.Millisecond, false},
		{"proxy without a server", func(n int) (bool, error) {
			if n < 3 {
				return false, &ForeignReplyError{Status: 502}
			}
			return true, nil
		}, 3, 600 * time.Millisecond, true},
		{"the caller's error", func(int) (bool, error) { return true, &resume.StopError{Err: own} }, 1, 0, false},
		{"a refusal", func(int) (bool, error) { return false, &job.Problem{Status: 404} }, 1, 0, false},
		{"a page", func(int) (bool, error) { return false, &ForeignReplyError{Status: 200} }, 1, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun, tries := time.Now(), 0
				err := resume.Do(t.Context(), broke(), canResume, func() (bool, error) { tries++; return tt.repeat(tries) })
				if took := time.Since(begun); tries != tt.tries || took != tt.took || tt.ok != (err == nil) {
					t.Errorf("%d tries in %s: %v", tries, took, err)
				}
			})
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := resume.Do(ctx, broke(), canResume, func() (bool, error) { return false, broke() }); err == nil {
		t.Error("it goes on after its context")
	}
	if err := resume.Do(t.Context(), own, canResume, func() (bool, error) { t.Error("it was repeated"); return true, nil }); !errors.Is(err, own) {
		t.Errorf("got %v", err)
	}
}
