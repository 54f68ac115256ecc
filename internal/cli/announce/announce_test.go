package announce

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"stint.dev/stint/client"
	"stint.dev/stint/job"
)

const testRun = "01a2b3c4-d5e6-7f80-9000-000000000001"

func TestEndText(t *testing.T) {
	for _, c := range []struct {
		outcome job.Outcome
		took    time.Duration
		want    string
	}{
		{job.Outcome{State: job.Succeeded, Message: "Exited with code 0."}, 12 * time.Second, "succeeded after 12 s"},
		{job.Outcome{State: job.Failed, Message: "Exited with code 3."}, 90 * time.Second, "failed after 1 m 30 s: Exited with code 3."},
		{job.Outcome{State: job.Failed, Message: "Killed by the kernel: out of memory."}, time.Hour, "failed after 1 h: Killed by the kernel: out of memory."},
		{job.Outcome{State: job.TimedOut, Message: "Ran into its time limit of 1 s and was stopped."}, 1200 * time.Millisecond, "timed out after 1.2 s: Ran into its time limit of 1 s and was stopped."},
		{job.Outcome{State: job.Canceled, Message: "Canceled by Ctrl-C."}, 3 * time.Second, "canceled after 3 s by Ctrl-C"},
		{job.Outcome{State: job.Canceled, Message: "Canceled by ada: wrong data."}, 3 * time.Second, "canceled after 3 s by ada: wrong data"},
		{job.Outcome{State: job.Canceled, Message: "Canceled."}, 3 * time.Second, "canceled after 3 s"},
		{job.Outcome{State: job.Canceled, Message: "The reader of its stdout went away, and SIGPIPE ended it."}, 0, "canceled after 0 ms: The reader of its stdout went away, and SIGPIPE ended it."},
		{job.Outcome{State: job.Lost}, time.Second, "lost after 1 s"},
	} {
		if got := EndText(c.outcome, c.took); got != c.want {
			t.Errorf("%+v: got %q, want %q", c.outcome, got, c.want)
		}
	}
}

// printed collects lines.
type printed []string

func (p *printed) say(format string, args ...any) { *p = append(*p, fmt.Sprintf(format, args...)) }

func (p printed) want(t *testing.T, lines ...string) {
	t.Helper()
	if !slices.Equal(p, lines) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(p, "\n"), strings.Join(lines, "\n"))
	}
}

var succeeded = job.Outcome{State: job.Succeeded}

func TestLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p printed
		l := Begin(p.say, "train", testRun, "http://user:secret@host/stint/", time.Now())
		l.Replied("train", job.AppendReply{})
		l.Replied("train", job.AppendReply{Notice: "this command was job python"})
		l.Replied("train", job.AppendReply{Number: 12})
		l.Replied("train", job.AppendReply{Number: 12})
		if !l.End(succeeded, time.Now().Add(12*time.Second)) {
			t.Error("there are no lines")
		}
		l.End(succeeded, time.Now())
		p.want(
			t,
			"run train 01a2b3c4-d5e6 http://host/stint/runs/01a2b3c4-d5e6",
			"this command was job python",
			"run train 01a2b3c4-d5e6 is train#12",
			"run train 01a2b3c4-d5e6 succeeded after 12 s",
		)
	})
}

// A number that is late comes before the end of a short run, if it comes soon.
func TestNumberOfAShortRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p printed
		l := Begin(p.say, "train", testRun, "http://host", time.Now())
		time.AfterFunc(numberWait/2, func() { l.Replied("train", job.AppendReply{Number: 1}) })
		l.End(succeeded, time.Now())
		p.want(
			t,
			"run train 01a2b3c4-d5e6 http://host/runs/01a2b3c4-d5e6",
			"run train 01a2b3c4-d5e6 is train#1",
			"run train 01a2b3c4-d5e6 succeeded after 0 ms",
		)
	})
}

// A number that never comes holds up the last line for numberWait; without a server nothing does.
func TestRunWithoutANumber(t *testing.T) {
	for server, want := range map[string]time.Duration{"http://host": numberWait, "": 0} {
		synctest.Test(t, func(t *testing.T) {
			var p printed
			begun := time.Now()
			Begin(p.say, "train", testRun, server, begun).End(succeeded, begun)
			if took := time.Since(begun); took != want || len(p) != 2 {
				t.Errorf("server %q: %q after %s, want two lines after %s", server, p, took, want)
			}
		})
	}
}

func TestNoLines(t *testing.T) {
	var l *Lines
	l.Replied("train", job.AppendReply{Number: 1})
	if l.End(succeeded, time.Now()) {
		t.Error("nil has lines")
	}
}

// Each way to append brings the number.
func TestServerReportsTheNumber(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(job.AppendReply{Run: testRun, Attempt: 1, Server: testRun, Size: 3, Number: 12}) // the client finds out
	}))
	defer s.Close()
	c, err := client.New(client.Options{URL: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var numbers []int64
	server := Server{Client: c, Replied: func(r job.AppendReply) { numbers = append(numbers, r.Number) }}
	_, err1 := server.Append(t.Context(), testRun, 1, 0, []byte("abc"))
	_, err2 := server.AppendFrom(t.Context(), testRun, 1, 0, 3, strings.NewReader("abc"))
	_, err3 := server.AppendCompressed(t.Context(), testRun, 1, 0, []byte("abc"))
	if err := errors.Join(err1, err2, err3); err != nil || !slices.Equal(numbers, []int64{12, 12, 12}) {
		t.Errorf("numbers %v, %v", numbers, err)
	}
}

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	record := Record{Run: testRun, Job: "träin", Server: "http://user:secret@host:7846"}
	const want = `{"run":"` + testRun + `","job":"träin","server":"http://host:7846"}` + "\n"
	file := filepath.Join(dir, "run.json")
	if err := os.WriteFile(file, []byte(strings.Repeat("old\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(file, record); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	read := make(chan string, 1)
	go func() {
		got, err := os.ReadFile(pipe)
		read <- fmt.Sprint(string(got), err)
	}()
	if err := WriteFile(pipe, record); err != nil {
		t.Fatal(err)
	}
	if got := <-read; got != want+"<nil>" {
		t.Errorf("the pipe had %q", got)
	}
	if err := WriteFile(filepath.Join(dir, "none", "run.json"), record); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory that does not exist: %v", err)
	}
}
