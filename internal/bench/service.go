package main

import (
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"stint.dev/stint/internal/store/postgrestest"
)

// service is a server that is measured.
type service struct {
	cmd  *exec.Cmd
	host string // address and port
}

func (s *service) url() string { return "http://" + s.host }

// serve starts a server with an address to listen on as {}. It may open many files.
func (b *bench) serve(env []string, args ...string) (*service, error) {
	host, err := freeAddress()
	if err != nil {
		return nil, err
	}
	for i, a := range args {
		args[i] = strings.ReplaceAll(a, "{}", host)
	}
	s := &service{host: host, cmd: b.command(append([]string{"sh", "-c", `ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -H -n)"; exec "$@"`, "sh"}, args...))}
	s.cmd.Env = append(s.cmd.Env, env...)
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	return s, s.ready()
}

func (s *service) ready() error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var last error
	for late := time.After(60 * time.Second); ; {
		resp, err := http.Get(s.url() + "/readyz")
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
			return errors.Join(fmt.Errorf("%s is not ready after 60 s: %w", s.host, last), s.stop())
		}
	}
}

func (s *service) stop() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	err := s.cmd.Wait()
	if s.cmd.ProcessState.ExitCode() < 0 {
		return nil // it ends with the signal
	}
	return err
}

// peakMB is the most memory that the service has had.
func (s *service) peakMB() (float64, error) {
	kb, err := field(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid), "VmHWM:")
	return kb * 1024 / 1e6, err
}

// stored is a database to measure on.
type stored struct {
	name  string
	place []string // options of stint server
	dir   string
	url   string
	close func() error
}

// databases are the embedded one and, where it is installed, a PostgreSQL that waits for
// its disk as it does at a customer's.
func (b *bench) databases(what string) ([]stored, error) {
	dir := filepath.Join(b.dir, what)
	all := []stored{{name: "SQLite", place: []string{"--data", dir}, dir: dir, close: func() error { return nil }}}
	pg, err := postgrestest.StartOwn("fsync=on", "shared_buffers=256MB", "max_wal_size=4GB")
	if errors.Is(err, postgrestest.ErrMissing) {
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	url, err := pg.Create(b.ctx, "bench")
	if err != nil {
		return nil, errors.Join(err, pg.Close())
	}
	return append(all, stored{name: "PostgreSQL", place: []string{"--database", url}, url: url, close: pg.Close}), nil
}

// server starts stint server on a database.
func (b *bench) stint(on stored, env ...string) (*service, error) {
	return b.serve(env, append([]string{b.program("stint"), "server", "--listen", "{}"}, on.place...)...)
}
