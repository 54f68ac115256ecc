package faulttest

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// plainEnv makes a copy of this program a server that does nothing with a request but answer it.
// What it takes beside an attack on another server is what the machine takes.
const plainEnv = "STINT_FAULTS_PLAIN"

// runPlain prints its address and answers until stdin ends.
func runPlain() int {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, "plain server:", err)
		return 1
	}
	fmt.Println(listener.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // its end is what counts
		_ = listener.Close()
	}()
	_ = http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { //nolint:gosec // on loopback, for a test
		_, _ = io.Copy(w, r.Body)
	}))
	return 0
}

// startPlain starts a plain server and returns its address. It ends with the test.
func startPlain(t *testing.T) (address string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env, cmd.Stderr = append(os.Environ(), plainEnv+"=1"), os.Stderr
	in, out := pipesOf(t, cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close() // it ends with it
		_ = cmd.Wait()
	})
	if _, err := fmt.Fscanln(out, &address); err != nil {
		t.Fatal(err)
	}
	return address
}

// askPlain asks a plain server again and again until ctx ends, and notes what each request took.
func (v *victims) askPlain(address string) {
	t := &http.Transport{}
	defer t.CloseIdleConnections()
	for v.ctx.Err() == nil {
		begun := time.Now()
		req, err := http.NewRequestWithContext(v.ctx, http.MethodPost, "http://"+address, bytes.NewReader([]byte("{}")))
		if err != nil {
			v.t.Error(err)
			return
		}
		resp, err := (&http.Client{Transport: t}).Do(req)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
		if v.ctx.Err() == nil && err != nil {
			v.t.Errorf("the plain server: %v", err)
			return
		}
		v.took(&v.span().plain, begun)
		wait(v.ctx, 20*ms)
	}
}

// processor is how long the threads of a process worked, and waited for a core of the machine,
// which others may have had.
type processor struct{ worked, waited time.Duration }

func processorOf(pid int) (p processor) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid)) // the pattern is right
	for _, file := range files {
		var worked, waited time.Duration
		text, _ := os.ReadFile(file) // of a thread that has just ended: nothing
		if _, err := fmt.Sscan(string(text), &worked, &waited); err == nil {
			p.worked, p.waited = p.worked+worked, p.waited+waited
		}
	}
	return p
}

// cores says how many cores the server had during a span, and for how many it waited.
func (s *attackSpan) cores() string {
	long := s.to.Sub(s.from).Seconds()
	if long <= 0 {
		return "unknown"
	}
	return fmt.Sprintf("%.2f, waited %.2f", (s.after.worked-s.before.worked).Seconds()/long, (s.after.waited-s.before.waited).Seconds()/long)
}
