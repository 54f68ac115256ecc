package host

import (
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Service is a server that is measured.
type Service struct {
	Address string // host and port
	cmd     *exec.Cmd
}

// URL returns where it is.
func (s *Service) URL() string { return "http://" + s.Address }

// PID returns the number of its process.
func (s *Service) PID() int { return s.cmd.Process.Pid }

// CPU returns what it has used, in seconds.
func (s *Service) CPU() (float64, error) { return CPU(s.PID()) }

// PeakMB returns the most memory that it has had.
func (s *Service) PeakMB() (float64, error) { return MemoryMB(s.PID(), true) }

// Serve starts a server with an address to listen on as {}, and waits until it is ready. It may open many files.
func (h *Host) Serve(env []string, args ...string) (*Service, error) {
	address, err := FreeAddress()
	if err != nil {
		return nil, err
	}
	for i, a := range args {
		args[i] = strings.ReplaceAll(a, "{}", address)
	}
	s := &Service{Address: address, cmd: h.Command(append([]string{"sh", "-c", `ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -H -n)"; exec "$@"`, "sh"}, args...))}
	s.cmd.Env = append(s.cmd.Env, env...)
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	return s, s.ready()
}

// Stint starts stint server on a database.
func (h *Host) Stint(on Database, env ...string) (*Service, error) {
	return h.Serve(env, h.StintArgs(on)...)
}

// StintArgs returns the command line of stint server on a database, for Serve.
func (h *Host) StintArgs(on Database) []string {
	return append([]string{h.Program("stint"), "server", "--listen", "{}"}, on.place...)
}

func (s *Service) ready() error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var last error
	for late := time.After(60 * time.Second); ; {
		resp, err := http.Get(s.URL() + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		last = err
		select {
		case <-tick.C:
		case <-late:
			return errors.Join(fmt.Errorf("%s is not ready after 60 s: %w", s.Address, last), s.Stop())
		}
	}
}

// Stop asks it to end, and waits for that.
func (s *Service) Stop() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	err := s.cmd.Wait()
	if s.cmd.ProcessState.ExitCode() < 0 {
		return nil // it ends with the signal
	}
	return err
}

// WaitIdle waits until it uses no CPU for a while, or until most has passed: a server does some work after the end of
// a run.
func (s *Service) WaitIdle(most time.Duration) error {
	quiet := 0
	before, err := s.CPU()
	for late := time.Now().Add(most); err == nil && quiet < 6 && time.Now().Before(late); {
		<-time.After(500 * time.Millisecond)
		var now float64
		now, err = s.CPU()
		if quiet++; now-before > 0.03 {
			quiet = 0
		}
		before = now
	}
	return err
}
