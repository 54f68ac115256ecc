package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"stint.dev/stint/job"
)

// letters is a mail server that keeps the text of each letter.
type letters struct {
	mu    sync.Mutex
	texts []string
}

func (l *letters) all() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.texts, "\n")
}

// listen takes letters until the test ends, and returns the address.
func (l *letters) listen(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() { l.serve(conn) })
		}
	})
	t.Cleanup(func() { _ = listener.Close(); all.Wait() })
	return listener.Addr().String()
}

func (l *letters) serve(conn net.Conn) {
	defer conn.Close() //nolint:errcheck // the client has all that it needs
	r := bufio.NewReader(conn)
	_, _ = io.WriteString(conn, "220 test\r\n")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		answer := "250 ok"
		if strings.HasPrefix(line, "DATA") {
			_, _ = io.WriteString(conn, "354 go on\r\n")
			var letter strings.Builder
			for line, err = r.ReadString('\n'); err == nil && line != ".\r\n"; line, err = r.ReadString('\n') {
				letter.WriteString(line)
			}
			if m, err := mail.ReadMessage(strings.NewReader(letter.String())); err == nil {
				body, _ := io.ReadAll(quotedprintable.NewReader(m.Body))
				l.mu.Lock()
				l.texts = append(l.texts, strings.ReplaceAll(string(body), "\r\n", "\n"))
				l.mu.Unlock()
			}
		}
		if _, err := io.WriteString(conn, answer+"\r\n"); err != nil {
			return
		}
	}
}

// Ten real programs that failed, played again: the line that states the error is in the list of
// runs, the run, the command line, a webhook and an e-mail.
func TestTheLineThatStatesTheErrorIsEverywhere(t *testing.T) {
	s, h := startServer(t, "--allow-private-targets"), newHost(t)
	var mu sync.Mutex
	hooked := map[string]*job.Evidence{}
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var m struct {
			Data struct {
				Items []struct {
					Run      struct{ Job string }
					Evidence *job.Evidence
				}
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, item := range m.Data.Items {
			hooked[item.Run.Job] = item.Evidence
		}
	}))
	defer receiver.Close()
	office := &letters{}
	for name, url := range map[string]string{"hook": receiver.URL, "mail": "smtp://" + office.listen(t) + "/?from=a@example.org&to=b@example.org"} {
		if set := h.run("notify", "set", "--server", s.url, "--url", url, name); set.code != 0 {
			t.Fatalf("%+v", set)
		}
	}
	names := []string{"python", "node", "java", "go", "rust", "tar", "psql", "npm", "make", "bash"}
	want := map[string]string{}
	for _, name := range names {
		dir, err := filepath.Abs("../logs/ending/testdata/failures/" + name)
		if err != nil {
			t.Fatal(err)
		}
		line, err := os.ReadFile(filepath.Join(dir, "line"))
		if err != nil {
			t.Fatal(err)
		}
		want[name] = strings.TrimSuffix(string(line), "\n")
		h.run("run", "--server", s.url, "--job", name, "--dir", dir, "-c", `cat stdout; cat stderr >&2; exit $(cat code)`)
	}
	for _, name := range names {
		eventually(t, name+" is diagnosed", func() bool { r, _ := s.find(name + "#1"); return r.Diagnosis != nil })
		run, _ := s.find(name + "#1")
		e := run.Diagnosis.Evidence
		if e == nil || e.Text != want[name] || run.Diagnosis.Sentence != want[name] || e.Stream != job.Stderr || e.Attempt != 1 {
			t.Errorf("%s: %+v, %+v, want %q", name, run.Diagnosis, e, want[name])
			continue
		}
		if at := string(s.log(name+"#1", fmt.Sprintf("?from_line=%d&lines=1", e.Line))); strings.TrimSpace(at) != want[name] {
			t.Errorf("%s: line %d of the log is %q, want %q", name, e.Line, at, want[name])
		}
		if got := h.run("show", "--server", s.url, name+"#1"); !strings.Contains(got.stdout, "\n"+want[name]+"\n") {
			t.Errorf("%s is shown as %s", name, got.stdout)
		}
	}
	var page struct{ Runs []job.Run }
	if err := json.Unmarshal(s.get("/api/v1/runs?limit=50"), &page); err != nil || len(page.Runs) != len(names) {
		t.Fatal(page, err)
	}
	for _, run := range page.Runs {
		if run.Diagnosis == nil || run.Diagnosis.Evidence == nil || run.Diagnosis.Evidence.Text != want[run.Job] {
			t.Errorf("in the list: %s %+v", run.Job, run.Diagnosis)
		}
	}
	eventually(t, "everybody is notified", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(hooked) == len(names) && strings.Count(office.all(), "Exited with code") == len(names)
	})
	mu.Lock()
	defer mu.Unlock()
	for _, name := range names {
		if e := hooked[name]; e == nil || e.Text != want[name] {
			t.Errorf("webhook of %s: %+v, want %q", name, e, want[name])
		}
		if !strings.Contains(office.all(), "\n"+want[name]+"\n") {
			t.Errorf("the e-mail of %s has no line %q:\n%s", name, want[name], office.all())
		}
	}
}
