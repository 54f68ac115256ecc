package worker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/agent/process/children"
	"stint.dev/stint/internal/agent/process/member"
)

const (
	// handLimit bounds the wait for an agent to read its settings, and reportLimit that for the
	// last words of one that has ended.
	handLimit   = 10 * time.Second
	reportLimit = 100 * time.Millisecond
	// mostReport bounds these last words.
	mostReport = 4 << 10
)

// forwarded are the variables of the worker that its agents have in their own environment: they
// decide, beside the settings, how a server is reached.
var forwarded = []string{
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR",
}

// host is the system that the worker runs on.
type host struct {
	env     []string         // of agents
	reports map[int]*os.File // of the children, by their number
	cgroups *cgroups
	hands   sync.WaitGroup // that write settings
}

func newHost(getenv func(string) string) *host {
	h := &host{env: []string{"PATH=" + defaultPath}, reports: map[int]*os.File{}, cgroups: findCgroups()}
	for _, name := range forwarded {
		if value := getenv(name); value != "" {
			h.env = append(h.env, name+"="+value)
		}
	}
	return h
}

// program is what agents run: this very program, also when its file was replaced since.
func program() (string, error) {
	const own = "/proc/self/exe"
	if _, err := os.Stat(own); err == nil {
		return own, nil
	}
	return os.Executable()
}

// start starts an agent in a session of its own, and hands it its settings.
func (h *host) start(s Settings) (pid int, started uint64, err error) {
	path, err := program()
	if err != nil {
		return 0, 0, err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return 0, 0, err
	}
	var files []*os.File
	defer func() {
		for _, f := range files {
			_ = f.Close() // the agent has its own
		}
	}()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return 0, 0, err
	}
	files = append(files, null)
	settingsR, settingsW, err := os.Pipe()
	if err != nil {
		return 0, 0, err
	}
	files = append(files, settingsR)
	reportR, reportW, err := os.Pipe()
	if err != nil {
		return 0, 0, errors.Join(err, settingsW.Close())
	}
	files = append(files, reportW)
	name := s.Claim.Run + "." + strconv.Itoa(s.Claim.Attempt)
	attr := &os.ProcAttr{
		Dir: "/", Env: h.env, Files: []*os.File{null, null, os.Stderr, settingsR, reportW},
		Sys: &syscall.SysProcAttr{Setsid: true},
	}
	leave := h.cgroups.enter(name, attr.Sys)
	p, err := children.Start(path, []string{"stint-agent", "attempt", s.Claim.Run, strconv.Itoa(s.Claim.Attempt)}, attr)
	leave()
	if err != nil {
		return 0, 0, errors.Join(err, settingsW.Close(), reportR.Close())
	}
	h.hands.Go(func() { hand(settingsW, text) })
	h.reports[p.Pid] = reportR
	pid = p.Pid
	_ = p.Release() // it is waited for by its number: see ended
	return pid, h.started(pid), nil
}

// hand writes the settings of an agent. One that does not read them ends, because they are not
// whole.
func hand(w *os.File, text []byte) {
	_ = w.SetWriteDeadline(time.Now().Add(handLimit))
	_, _ = w.Write(text)
	_ = w.Close()
}

// close waits until what was started has its settings, and forgets the children: they live on.
func (h *host) close() {
	h.hands.Wait()
	for _, report := range h.reports {
		_ = report.Close() // nothing is written to it
	}
}

func (h *host) started(pid int) uint64 { return member.StartedAt(pid) }

func (h *host) ended(pid int, started uint64) (bool, string) {
	report, child := h.reports[pid]
	if !child {
		return !lives(pid, started), ""
	}
	var status syscall.WaitStatus
	got, err := syscall.Wait4(pid, &status, syscall.WNOHANG, nil)
	if got != pid && !errors.Is(err, syscall.ECHILD) {
		return false, ""
	}
	children.Forget(pid)
	delete(h.reports, pid)
	h.cgroups.clear()
	return true, lastWords(report, status)
}

// lastWords reads why an agent that has ended did not start its attempt; empty if it did.
func lastWords(report *os.File, status syscall.WaitStatus) string {
	defer report.Close()
	_ = report.SetReadDeadline(time.Now().Add(reportLimit)) // its end of the pipe is closed
	text, _ := io.ReadAll(io.LimitReader(report, mostReport))
	words := strings.TrimSpace(string(text))
	switch {
	case words != "":
		return words
	case status.Signaled():
		return "its agent was ended by " + unix.SignalName(status.Signal())
	case status.ExitStatus() != 0:
		return fmt.Sprintf("its agent ended with exit code %d", status.ExitStatus())
	}
	return ""
}

func (h *host) stop(pid int, started uint64) error {
	return member.Member{PID: pid, Name: "stint-agent", StartedTicks: started}.Signal(syscall.SIGTERM)
}

// memoryIn returns an entry of /proc/meminfo in bytes, from the text of that; 0 if it does not say. MemAvailable is what
// new processes can have.
func memoryIn(meminfo, entry string) int64 {
	_, after, found := strings.Cut(meminfo, entry+":")
	if !found {
		return 0
	}
	line, _, _ := strings.Cut(after, "\n")
	fields := strings.Fields(line)
	if len(fields) != 2 || fields[1] != "kB" {
		return 0
	}
	n, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil || n < 0 || n > 1<<50 {
		return 0
	}
	return n << 10
}

// freeCPUs is what the load of the last minute leaves of a number of cores, from the text of
// /proc/loadavg; nil if it does not say.
func freeCPUs(loadavg string, cores int) *float64 {
	first, _, _ := strings.Cut(loadavg, " ")
	load, err := strconv.ParseFloat(first, 64)
	if err != nil || load < 0 {
		return nil
	}
	free := max(0, float64(cores)-load)
	return &free
}

// readText reads a small file of the kernel; empty if there is none.
func readText(path ...string) string {
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		return ""
	}
	return string(text)
}
