package runcmd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"stint.dev/stint/internal/cli/agentcmd"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/server"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// serveLog serves a run "big" that printed text, with a server that cuts off a reader after
// a short pause; ended gets a value whenever the answer to a GET of a log is over.
func serveLog(t *testing.T, text []byte) (url string, ended <-chan struct{}) {
	t.Helper()
	st, err := store.Open(t.Context(), store.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	srv, err := server.New(server.Config{Store: st, Insecure: true, WriteTimeout: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { srv.Run(ctx) })
	over := make(chan struct{}, 1000)
	hs := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if r.Method == http.MethodGet {
				over <- struct{}{}
			}
		}()
		srv.Handler().ServeHTTP(w, r)
	}))
	hs.Config.ConnState = func(c net.Conn, state http.ConnState) {
		if tcp, ok := c.(*net.TCPConn); ok && state == http.StateNew {
			_ = tcp.SetWriteBuffer(64 << 10) // so that less fills all buffers between the two
		}
	}
	hs.Start()
	t.Cleanup(func() {
		srv.Drain()
		hs.Close()
		if err := srv.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		cancel()
		running.Wait()
		_ = st.Close()
	})
	for offset, j := 0, journalOf(t, text); offset < len(j.data); {
		part := j.data[offset:min(offset+4<<20, len(j.data))]
		at := fmt.Sprintf("%s/api/v1/runs/%s/attempts/1/journal?offset=%d", hs.URL, j.run, offset)
		resp, err := http.Post(at, "application/octet-stream", bytes.NewReader(part))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("append at %d: HTTP %d", offset, resp.StatusCode)
		}
		offset += len(part)
	}
	return hs.URL, over
}

// newRoot makes a program that has the commands of this package.
func newRoot(c *console.Console) *cobra.Command {
	root := agentcmd.Root(c, nil, "test", "stint", "short", "long")
	root.AddCommand(Commands(&command.Program{Console: c, Version: "test"})...)
	return root
}

type finishedJournal struct {
	run  string
	data []byte
}

// journalOf is the journal of a run that printed text and succeeded.
func journalOf(t *testing.T, text []byte) finishedJournal {
	t.Helper()
	var buf bytes.Buffer
	w, err := journal.NewWriter(&buf)
	if err != nil {
		t.Fatal(err)
	}
	id, at := uuid.Must(uuid.NewV7()).String(), time.Now().UTC()
	add := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	add(w.AppendJSON(journal.TypeAttempt, at, journal.Attempt{Run: id, Attempt: 1, Job: "big", Args: []string{"big"}, Host: "h", AgentVersion: "test"}))
	add(w.AppendJSON(journal.TypeStepStarted, at, journal.StepStarted{Name: "command", Kind: job.CommandStep, Command: "big", PID: 7}))
	for len(text) > 0 {
		n := min(len(text), 32<<10)
		add(w.Append(journal.OutputRecord(at, journal.Output{Stream: job.Stdout, Data: text[:n]})))
		text = text[n:]
	}
	o := job.Classify(job.Ending{Step: "command", Kind: job.CommandStep})
	add(w.AppendJSON(journal.TypeStepEnded, at, journal.StepEnded{Outcome: o}))
	add(w.Finish(at, journal.Final{Outcome: o}))
	return finishedJournal{id, buf.Bytes()}
}

// A reader that pauses until the server has cut the answer off gets all of it, whatever was
// asked for.
func TestLogsGoOnAfterAPause(t *testing.T) {
	var text bytes.Buffer
	for n := 1; text.Len() < 8<<20; n++ { // more than all buffers between hold
		fmt.Fprintf(&text, "%08d %s\n", n, strings.Repeat("x", 1300))
	}
	url, ended := serveLog(t, text.Bytes())
	lines := strings.SplitAfter(strings.TrimSuffix(text.String(), "\n"), "\n")
	for name, tt := range map[string]struct {
		args []string
		want func(out []byte) []byte // what was printed, as the text that it stands for
		text string
	}{
		"whole":     {nil, nil, text.String()},
		"JSON":      {[]string{"--json"}, textOfLines, text.String()},
		"window":    {[]string{"--from-line", "2", "--lines", "5900"}, nil, strings.Join(lines[1:5901], "")},
		"last":      {[]string{"--tail", "5900"}, nil, strings.Join(lines[len(lines)-5900:], "") + "\n"},
		"stream":    {[]string{"--stream", "stdout"}, nil, text.String()},
		"search":    {[]string{"--grep", "^0000"}, nil, text.String()},
		"follow":    {[]string{"-f"}, nil, text.String()},
		"last live": {[]string{"-f", "--tail", "5900"}, nil, strings.Join(lines[len(lines)-5900:], "") + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			for len(ended) > 0 {
				<-ended
			}
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			stderr, err := os.Create(t.TempDir() + "/stderr")
			if err != nil {
				t.Fatal(err)
			}
			defer stderr.Close()
			c := &console.Console{In: os.Stdin, Out: w, Err: stderr, Getenv: func(string) string { return "" }}
			code := make(chan int, 1)
			go func() {
				defer w.Close()
				code <- agentcmd.Execute(newRoot(c), c, append([]string{"logs", "--server", url, "big#1"}, tt.args...))
			}()
			first := make([]byte, 100_000)
			if _, err := io.ReadFull(r, first); err != nil {
				t.Fatal(err)
			}
			<-ended // the server has cut it off
			rest, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			got := append(first, rest...)
			if tt.want != nil {
				got = tt.want(got)
			}
			messages, err := os.ReadFile(stderr.Name())
			if err != nil {
				t.Fatal(err)
			}
			if n := <-code; n != 0 || string(got) != tt.text {
				t.Errorf("exit code %d, %d bytes of %d, %s", n, len(got), len(tt.text), messages)
			}
		})
	}
}

// textOfLines is the text of lines that came as JSON.
func textOfLines(out []byte) []byte {
	var all []byte
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var line struct {
			N    int    `json:"n"`
			Text string `json:"text"`
		}
		if err := dec.Decode(&line); err != nil {
			return all
		}
		all = append(append(all, line.Text...), '\n')
	}
}
