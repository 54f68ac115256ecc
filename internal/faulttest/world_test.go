package faulttest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"stint.dev/stint/client"
)

// world is everything of one schedule.
type world struct {
	t          *testing.T
	s          schedule
	slot       *slot
	dir        string
	run        string // its id
	agentToken string // of real agents; empty for none
	began      time.Time

	server   *serverProcess
	agent    *exec.Cmd
	agentOut *os.File
	killed   atomic.Bool // the agent, by us, while it lived
	exited   chan struct{}
	followed chan error // of the live reader

	token  string // of the scope agent
	beside *besides
	bucket *bucket     // the server's archive; nil for its own directory
	hasty  bool        // the server is the one that waits less before it packs
	queue  *queueWorld // nil for a schedule without a queue

	agentURL string
	toxic    *toxic
	poisoned sync.Mutex // a toxic is at work
	meddler  *meddler
	api      *client.Client

	mu    sync.Mutex
	story []string
	// outageOver is when the last fault was over that may keep the server from answering.
	outageOver time.Time
}

func (w *world) record(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := time.Duration(0)
	if !w.began.IsZero() {
		at = time.Since(w.began).Round(ms)
	}
	w.story = append(w.story, fmt.Sprintf("%8s %s", at, fmt.Sprintf(format, args...)))
}

func (w *world) path(parts ...string) string {
	return filepath.Join(append([]string{w.dir}, parts...)...)
}

// port is a port that nobody else will take: below those that the system gives away.
var port atomic.Int64

func freePort() (int, error) {
	for range 2000 {
		n := 20000 + int(port.Add(1))%10000
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", n))
		if err == nil {
			return n, l.Close()
		}
	}
	return 0, errors.New("no port is free")
}

// newWorld prepares server and route. What it makes is undone when the test ends.
func newWorld(t *testing.T, s schedule, sl *slot) *world {
	t.Helper()
	dir, err := os.MkdirTemp("", fmt.Sprintf("stint-faults-%d-", s.seed))
	if err != nil {
		t.Fatal(err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, s: s, slot: sl, dir: dir, run: id.String(), exited: make(chan struct{})}
	t.Cleanup(w.report)
	for _, sub := range []string{"state", "data", "marks", "home"} {
		if err := os.Mkdir(w.path(sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w.mountDisks()
	w.setClocks()
	n, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	w.server = &serverProcess{w: w, address: fmt.Sprintf("127.0.0.1:%d", n), access: "--insecure", place: []string{"--data", w.path("data")}}
	if s.postgres {
		w.server.place = []string{"--database", sl.database(t, s.seed)}
	}
	if w.hasty = s.has(besideKinds...); s.bucket {
		w.bucket = startBucket(t)
		w.server.place = append(w.server.place, "--archive", w.bucket.place())
	}
	w.server.wantUp()
	t.Cleanup(w.server.end)
	if w.api, err = client.New(client.Options{URL: "http://" + w.server.address}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.api.Close)
	w.openRoute()
	return w
}

// report prints the events of a schedule that failed, and clears up.
func (w *world) report() {
	if w.t.Failed() {
		w.t.Logf("replay with -seed %d -schedules 1\n%s\n%s", w.s.seed, w.s, strings.Join(w.story, "\n"))
		logs, _ := filepath.Glob(w.path("*.log")) // the pattern is good
		for _, name := range append([]string{"agent.err", "flush"}, logs...) {
			name = filepath.Base(name)
			if text, err := os.ReadFile(w.path(name)); err == nil && len(text) > 0 {
				w.t.Logf("%s:\n%s", name, tail(text, 3000))
			}
		}
		if *keepDirs {
			w.t.Logf("kept: %s", w.dir)
			return
		}
	}
	if err := os.RemoveAll(w.dir); err != nil {
		w.t.Errorf("clear up: %v", err)
	}
}

func tail(text []byte, n int) []byte {
	return bytes.ToValidUTF8(text[max(0, len(text)-n):], []byte("?"))
}

// mountDisks gives agent or server a small disk where the schedule asks for it.
func (w *world) mountDisks() {
	mount := func(dir string, size int64) {
		undo, err := mountDisk(w.path(dir), size)
		if err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(func() {
			if err := undo(); err != nil {
				w.t.Errorf("unmount: %v", err)
			}
		})
	}
	switch {
	case w.s.smallDisk: // smaller than what the job prints, from beginning to end
		mount("state", 256<<10+int64(w.s.seed%7)<<16)
	case w.s.has(agentFull):
		mount("state", 64<<20)
	}
	if w.s.has(serverFull) {
		mount("data", 192<<20)
	}
}

// setClocks makes the files through which clocks are set.
func (w *world) setClocks() {
	for _, name := range []string{"agent.clock", "server.clock"} {
		if err := w.setClock(name, 0); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) setClock(name string, step time.Duration) error {
	f, err := os.OpenFile(w.path(name), os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteAt(binary.LittleEndian.AppendUint64(nil, uint64(step)), 0)
	return err
}

// program is the path of one of our programs, the one with a clock that can be set where
// the schedule sets it.
func (w *world) program(name string, clock kind) string {
	if w.s.queue != nil && !w.s.queue.plain {
		return filepath.Join(programs, "swift", name)
	}
	if w.s.has(clock) {
		return filepath.Join(programs, "clock", name)
	}
	return filepath.Join(programs, name)
}

// serverProgram is the path of the server.
func (w *world) serverProgram() string {
	if w.hasty {
		return filepath.Join(programs, "hasty", "stint")
	}
	return w.program("stint", serverClock)
}

func (w *world) environment(clock string) []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + w.path("home"), "STINT_STATE=" + w.path("state"),
		"STINT_TEST_CLOCK=" + w.path(clock), "GORACE=halt_on_error=1",
	}
	if w.agentToken != "" {
		env = append(env, "STINT_TOKEN="+w.agentToken)
	}
	return env
}

// openRoute makes what lies between agent and server.
func (w *world) openRoute() {
	var err error
	address := w.server.address
	switch w.s.route {
	case tcpRoute:
		w.toxic, err = startToxic("127.0.0.1:0", address)
	case linkRoute:
		var l *link
		if l, err = w.slot.linked(); err == nil {
			w.toxic, err = startToxic(net.JoinHostPort(l.here, "0"), address)
		}
	case httpRoute:
		w.meddler, address, err = startMeddler(address)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	if w.toxic != nil {
		address = w.toxic.Listen
		w.t.Cleanup(w.toxic.Stop)
	}
	if w.meddler != nil {
		w.t.Cleanup(w.meddler.close)
	}
	w.agentURL = "http://" + address
}

// start begins the job under its agent.
func (w *world) start() {
	p := w.s.job
	args := []string{
		"run", "--server", w.agentURL, "--run-id", w.run, "--job", "faults", "--heartbeat-period", "200ms",
		"--sample-period", "300ms", "--flush-timeout", patience.String(),
	}
	printer := filepath.Join(programs, "printer")
	if p.install {
		args = append(args, "--install", fmt.Sprintf("%s -seed %d -stdout %d -stderr %d", printer, w.s.seed+1, installOut, installErr))
	}
	if p.quiet {
		args = append(args, "--quiet")
	}
	if p.spoolLimit > 0 && knowsSpoolLimit() {
		args = append(args, "--spool-limit", fmt.Sprint(p.spoolLimit))
	}
	args = append(args, "--", printer, "-seed", fmt.Sprint(w.s.seed), "-stdout", fmt.Sprint(p.stdout), "-stderr", fmt.Sprint(p.stderr),
		"-during", p.during.String(), "-code", fmt.Sprint(p.code), "-marks", w.path("marks"))
	w.agent = exec.Command(w.program("stint-agent", agentClock), args...)
	w.agent.Env = w.environment("agent.clock")
	w.agent.Dir = w.path("home")
	var err error
	if w.agentOut, err = os.Create(w.path("agent.out")); err != nil {
		w.t.Fatal(err)
	}
	errs, err := os.Create(w.path("agent.err"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.agent.Stdout, w.agent.Stderr = w.agentOut, errs
	w.began = time.Now()
	if err := w.there(w.agent.Start); err != nil {
		w.t.Fatal(err)
	}
	go func() {
		_ = w.agent.Wait() // its end is looked at later
		_ = errs.Close()
		_ = w.agentOut.Close()
		close(w.exited)
	}()
	w.t.Cleanup(func() {
		_ = w.agent.Process.Signal(syscall.SIGCONT) // it has ended, unless something failed
		_ = w.agent.Process.Kill()
		<-w.exited
	})
}

// What the install step prints.
const installOut, installErr = 3000, 500

// there calls start where the agent lives.
func (w *world) there(start func() error) error {
	if w.s.route != linkRoute {
		return start()
	}
	l, err := w.slot.linked()
	if err != nil {
		return err
	}
	return l.within(start)
}

// flush delivers what the agent left in its spool.
func (w *world) flush() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, w.program("stint-agent", agentClock), "flush", "--server", w.agentURL)
	cmd.Env = w.environment("agent.clock")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := w.there(cmd.Start); err != nil {
		return err
	}
	err := cmd.Wait()
	w.record("flush: %v: %s", err, out.Bytes())
	return err
}

var limitOnce = sync.OnceValue(func() bool {
	out, _ := exec.Command(filepath.Join(programs, "stint-agent"), "run", "--help").CombinedOutput() // no help: no option
	return bytes.Contains(out, []byte("--spool-limit"))
})

func knowsSpoolLimit() bool { return limitOnce() }

// serverProcess is the server, and what starts it again when it has died.
type serverProcess struct {
	w       *world
	address string
	place   []string
	access  string   // the option that says who needs a token
	once    []string // further arguments, until it has been ready once

	mu  sync.Mutex
	cmd *exec.Cmd // nil while it is down
	log *os.File
}

// up starts the server, again and again until it answers or time is up: as a service manager
// would.
func (p *serverProcess) up() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	deadline := time.Now().Add(patience)
	for {
		err := p.try()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		p.w.record("server: %v", err)
		<-time.After(100 * ms)
	}
}

func (p *serverProcess) wantUp() {
	p.w.t.Helper()
	if err := p.up(); err != nil {
		p.w.t.Fatalf("the server does not come up: %v", err)
	}
}

func (p *serverProcess) try() error {
	if p.cmd == nil {
		log, err := os.OpenFile(p.w.path("server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		cmd := exec.Command(p.w.serverProgram(), slices.Concat([]string{"server", "--listen", p.address, p.access}, p.place, p.once)...)
		cmd.Env = append(p.w.environment("server.clock"), bucketKeys...)
		cmd.Stdout, cmd.Stderr = log, log
		if err := cmd.Start(); err != nil {
			return errors.Join(err, log.Close())
		}
		p.cmd, p.log = cmd, log
	}
	err := p.ready()
	if err == nil {
		p.once = nil
	}
	return err
}

// ready waits until the server answers, but not for one that has ended or is paused.
func (p *serverProcess) ready() error {
	hc := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	var last error
	for begun := time.Now(); time.Since(begun) < 10*time.Second; <-time.After(10 * ms) {
		resp, err := hc.Get("http://" + p.address + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("/readyz: HTTP %d", resp.StatusCode)
		}
		last = err
		if gone(p.cmd.Process.Pid) {
			last = errors.Join(errors.New("it has ended by itself"), p.cmd.Wait(), last)
			p.cmd = nil
			_ = p.log.Close()
			break
		}
	}
	return last
}

// gone reports whether a child of ours is a zombie.
func gone(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return errors.Is(err, os.ErrNotExist)
	}
	i := bytes.LastIndexByte(text, ')')
	return i > 0 && i+2 < len(text) && text[i+2] == 'Z'
}

// down ends the server with a signal, and reports whether it was up. In good order it must
// end soon, and with exit code 0.
func (p *serverProcess) down(how syscall.Signal) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return false, nil
	}
	_ = p.cmd.Process.Signal(how) // Wait returns the error
	late := time.AfterFunc(30*time.Second, func() { _ = p.cmd.Process.Signal(syscall.SIGQUIT) })
	err := p.cmd.Wait()
	late.Stop()
	_ = p.log.Close()
	p.cmd = nil
	if how == syscall.SIGKILL {
		return true, nil
	}
	if err != nil {
		err = fmt.Errorf("the server, asked to stop, ended with %w", err)
	}
	return true, err
}

func (p *serverProcess) kill() { _, _ = p.down(syscall.SIGKILL) } // no error for this signal

// process is the server's, if it is up.
func (p *serverProcess) process() *os.Process {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return nil
	}
	return p.cmd.Process
}

// end is the end of the schedule: in good order, and with no complaint in the log that
// should never be there.
func (p *serverProcess) end() {
	if _, err := p.down(syscall.SIGTERM); err != nil {
		p.w.t.Error(err)
	}
	p.w.checkLog("server.log")
}

// checkLog looks for what no program of ours may ever log.
func (w *world) checkLog(name string) {
	text, err := os.ReadFile(w.path(name))
	if err != nil {
		w.t.Error(err)
	}
	for _, bad := range []string{"panic", "goroutine ", "DATA RACE", "fatal error"} {
		if bytes.Contains(text, []byte(bad)) {
			w.t.Errorf("%s has %q:\n%s", name, bad, tail(text, 6000))
		}
	}
}
