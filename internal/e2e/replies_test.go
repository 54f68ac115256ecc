package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"stint.dev/stint/job"
)

// reply is what something between agent and server answers in its place.
type reply struct {
	name   string
	answer http.HandlerFunc
	says   string // is in the line about it
}

func status(code int, header, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		name, value, _ := strings.Cut(header, ": ")
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set(name, value)
		w.WriteHeader(code)
		fmt.Fprint(w, body)
	}
}

func jsonReply(body string) http.HandlerFunc {
	return status(http.StatusOK, "Content-Type: application/json", body)
}

// foreignReplies are all that no Stint server sends. elsewhere is where redirects lead.
func foreignReplies(elsewhere string) []reply {
	html := "<html><title>Not what you asked for</title></html>"
	all := []reply{
		{name: "200 {}", answer: jsonReply(`{}`)},
		{name: "200 null", answer: jsonReply(`null`)},
		{name: `200 {"owner":false}`, answer: jsonReply(`{"owner":false}`)},
		{name: `200 {"size":0}`, answer: jsonReply(`{"size":0}`)},
		{name: `200 {"status":"ok"}`, answer: jsonReply(`{"status":"ok"}`)},
		{name: "200 of another run", answer: jsonReply(`{"run":"01890a5d-ac96-774b-bcce-b302099a8057","attempt":1,"size":0,"owner":false,"lease_ms":1,"next_ms":1,"commands":[{"kind":"cancel"}]}`)},
		{name: "200 echo", answer: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
			_, _ = io.Copy(w, r.Body) // the agent reports any error
		}},
		{name: "200 HTML", answer: status(200, "Content-Type: text/html", html)},
		{name: "204", answer: status(204, "X-Nothing: 1", "")},
		{name: "409 without size", answer: status(409, "Content-Type: application/problem+json", `{"type":"about:blank","title":"Conflict","status":409}`)},
		{name: "410 of another API", answer: status(410, "Content-Type: application/problem+json", `{"type":"about:blank","title":"Gone","status":410}`)},
		{name: "no answer", answer: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, says: "no answer"},
	}
	for _, code := range []int{400, 401, 403, 404, 405, 407, 413, 415, 421, 422, 429, 451, 500, 502, 503, 504, 511, 520} {
		all = append(all, reply{name: fmt.Sprint(code), answer: status(code, "Www-Authenticate: Basic", html), says: fmt.Sprint(code)})
	}
	for _, code := range []int{301, 302, 303, 307, 308} {
		all = append(all, reply{name: fmt.Sprint(code), answer: status(code, "Location: "+elsewhere+"/login", html), says: elsewhere})
	}
	return all
}

// middlebox is a proxy in front of a server that can answer by itself.
type middlebox struct {
	*httptest.Server
	forward http.Handler
	route   string // end of the path of the requests that it answers by itself
	answer  http.HandlerFunc
	on      atomic.Bool

	mu       sync.Mutex
	answered int // by itself
	passed   int // of that route
	changed  chan struct{}
}

func newMiddlebox(t *testing.T, s *server, route string, answer http.HandlerFunc) *middlebox {
	to, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	b := &middlebox{
		forward: &httputil.ReverseProxy{
			Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) },
			// An agent that ends cuts off the heartbeat that is on its way.
			ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
		},
		route: route, answer: answer, changed: make(chan struct{}),
	}
	b.Server = httptest.NewServer(b)
	t.Cleanup(b.Close)
	return b
}

func (b *middlebox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasSuffix(r.URL.Path, b.route) {
		b.forward.ServeHTTP(w, r)
		return
	}
	if !b.on.Load() {
		b.forward.ServeHTTP(w, r)
		b.count(&b.passed)
		return
	}
	body, _ := io.ReadAll(r.Body) // what is cut off is answered all the same
	r.Body = io.NopCloser(bytes.NewReader(body))
	defer b.count(&b.answered)
	b.answer(w, r)
}

func (b *middlebox) count(n *int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	*n++
	close(b.changed)
	b.changed = make(chan struct{})
}

// await waits until a number of requests were counted since it was called.
func (b *middlebox) await(t *testing.T, n *int, more int) {
	t.Helper()
	deadline := time.After(patience)
	b.mu.Lock()
	want := *n + more
	b.mu.Unlock()
	for {
		b.mu.Lock()
		got, changed := *n, b.changed
		b.mu.Unlock()
		if got >= want {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%d of %d requests came within %s", got, want, patience)
		}
	}
}

// echoJob is a command that prints each line of its stdin many times, and then exits with 3.
type echoJob struct {
	t      *testing.T
	host   *host
	run    string
	stdin  *os.File
	stderr bytes.Buffer
	want   bytes.Buffer // what it has printed
	done   chan int
}

// bulk is how much it prints for a line that begins with b: so much is sent at once.
const bulk = 600_000

func startEcho(t *testing.T, url string, args ...string) *echoJob {
	t.Helper()
	id, err := uuid.NewV7()
	if err != nil {
		t.Fatal(err)
	}
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	j := &echoJob{t: t, host: newHost(t), run: id.String(), stdin: out, done: make(chan int, 1)}
	t.Cleanup(func() { _ = out.Close() })
	args = append([]string{"run", "--server", url, "--run-id", j.run, "--quiet", "--heartbeat-period", "200ms"}, args...)
	cmd := j.host.command(stint, append(args, "--", "sh", "-c", fmt.Sprintf(`while read -r line; do case $line in b*) yes "$line" | head -c %d;; *) echo "$line";; esac; done; exit 3`, bulk))...)
	cmd.Stdin, cmd.Stderr = in, &j.stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = in.Close()
	go func() {
		_ = cmd.Wait() // the code says how it ended
		j.done <- cmd.ProcessState.ExitCode()
	}()
	return j
}

func (j *echoJob) print(line string) {
	j.t.Helper()
	if _, err := fmt.Fprintln(j.stdin, line); err != nil {
		j.t.Fatal(err)
	}
	if strings.HasPrefix(line, "b") {
		j.want.Write(bytes.Repeat([]byte(line+"\n"), bulk/len(line)+1)[:bulk])
	} else {
		fmt.Fprintln(&j.want, line)
	}
}

// end ends the job, and checks how the agent ended: with the job's own code and, if lines
// are to be printed, exactly that one.
func (j *echoJob) end(lines int, says string) {
	j.t.Helper()
	_ = j.stdin.Close()
	if code := <-j.done; code != 3 {
		j.t.Fatalf("exit code %d, printed %s", code, &j.stderr)
	}
	text := j.stderr.String()
	if strings.Count(text, "\n") != lines || !strings.Contains(text, says) {
		j.t.Errorf("printed %q, want %d lines with %q", text, lines, says)
	}
}

// waits checks that the journal waits, and that nothing is marked.
func (j *echoJob) waits() {
	j.t.Helper()
	text, err := os.ReadFile(filepath.Join(j.host.state, "spool", j.run+".1", "meta.json"))
	if err != nil {
		j.t.Fatal(err)
	}
	var meta map[string]any
	if err := json.Unmarshal(text, &meta); err != nil {
		j.t.Fatal(err)
	}
	if meta["refused"] != nil {
		j.t.Errorf("the journal is marked: %v", meta["refused"])
	}
}

// flush delivers what waits.
func (j *echoJob) flush(url string) {
	j.t.Helper()
	cmd := j.host.command(stint, "flush")
	cmd.Env = append(cmd.Env, "STINT_SERVER="+url)
	if r := finish(j.t, cmd); r.code != 0 || !strings.Contains(r.stdout, "delivered") {
		j.t.Errorf("flush: exit code %d, %s%s", r.code, r.stdout, r.stderr)
	}
}

// whole checks that the server has everything.
func (j *echoJob) whole(s *server) {
	j.t.Helper()
	r, known := s.find(j.run)
	if !known {
		j.t.Fatal("the server does not know the run")
	}
	wantEnd(j.t, r, job.Failed, job.ExitCode, 3)
	if got := s.log(j.run, ""); !bytes.Equal(got, j.want.Bytes()) {
		j.t.Errorf("the log has %d bytes, want %d", len(got), j.want.Len())
	}
	if left, _ := filepath.Glob(filepath.Join(j.host.state, "spool", "*")); len(left) > 0 {
		j.t.Errorf("the spool still holds %v", left)
	}
}

// phases are when something else answers. Each ends with the whole log on the server.
var phases = map[string]func(t *testing.T, s *server, route string, r reply){
	"at the start": func(t *testing.T, s *server, route string, r reply) {
		b := newMiddlebox(t, s, route, r.answer)
		b.on.Store(true)
		j := startEcho(t, b.URL)
		j.print("one")
		b.await(t, &b.answered, 2)
		b.on.Store(false)
		b.await(t, &b.passed, 1)
		j.print("two")
		j.end(0, "")
		j.whole(s)
	},
	"in the middle": func(t *testing.T, s *server, route string, r reply) {
		b := newMiddlebox(t, s, route, r.answer)
		j := startEcho(t, b.URL)
		b.await(t, &b.passed, 1)
		b.on.Store(true)
		j.print("b one")
		b.await(t, &b.answered, 2)
		b.on.Store(false)
		j.print("two")
		b.await(t, &b.passed, 1)
		j.print("three")
		j.end(0, "")
		j.whole(s)
	},
	"at the end": func(t *testing.T, s *server, route string, r reply) {
		b := newMiddlebox(t, s, route, r.answer)
		limit := "1h" // what reaches the server is waited for
		if route == "/journal" {
			limit = "1s"
		}
		j := startEcho(t, b.URL, "--flush-timeout", limit)
		b.await(t, &b.passed, 1)
		j.print("one")
		b.on.Store(true)
		if route == "/heartbeat" {
			j.end(0, "")
		} else {
			j.end(1, "waits at")
			j.waits()
			b.on.Store(false)
			j.flush(b.URL)
		}
		j.whole(s)
	},
	// The server never answers: the job's end does not wait for it, whatever the time for that.
	"throughout": func(t *testing.T, s *server, route string, r reply) {
		b := newMiddlebox(t, s, route, r.answer)
		b.on.Store(true)
		j := startEcho(t, b.URL, "--flush-timeout", "1h")
		j.print("one")
		b.await(t, &b.answered, 1)
		if route == "/heartbeat" {
			j.end(0, "")
		} else {
			j.end(1, r.says)
			j.waits()
			b.on.Store(false)
			j.flush(b.URL)
		}
		j.whole(s)
	},
}

// Whatever answers in place of the server, to appends or to heartbeats, and whenever: the job
// ends with its own code, its whole log comes to the server, nothing is marked, and stderr
// has one line at most.
func TestForeignReplies(t *testing.T) {
	var followed atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Add(1) }))
	defer elsewhere.Close()
	s := startServer(t)
	slots := make(chan struct{}, 16) // a run waits more than it works
	var all sync.WaitGroup
	for _, r := range foreignReplies(strings.Replace(elsewhere.URL, "127.0.0.1", "localhost", 1)) {
		for _, route := range []string{"/journal", "/heartbeat"} {
			for name, phase := range phases {
				slots <- struct{}{}
				all.Go(func() {
					defer func() { <-slots }()
					t.Run(fmt.Sprintf("%s/%s/%s", r.name, strings.TrimPrefix(route, "/"), name), func(t *testing.T) { phase(t, s, route, r) })
				})
			}
		}
	}
	all.Wait()
	if n := followed.Load(); n > 0 {
		t.Errorf("%d redirects to another host were followed", n)
	}
}
