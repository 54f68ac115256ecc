package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A job that prints, and the least that can take what it prints.
var (
	//go:embed programs/printer.c
	printerSource string
	//go:embed programs/reader.c
	readerSource string
)

// bench holds what all measurements need.
type bench struct {
	scale
	ctx    context.Context
	rounds int
	dir    string
	url    string // of the server
	away   string // an address where nobody answers
	server *exec.Cmd
}

func newBench(rounds int) (*bench, error) {
	if rounds < 1 {
		return nil, fmt.Errorf("-rounds %d: measure at least once", rounds)
	}
	dir, err := os.MkdirTemp("", "stint-bench-")
	if err != nil {
		return nil, err
	}
	b := &bench{rounds: rounds, dir: dir}
	if err := b.prepare(); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// prepare builds the programs as they are released, and starts the server.
func (b *bench) prepare() error {
	if err := os.Chmod(b.dir, 0o755); err != nil { // the ordinary user of one measurement runs them too
		return err
	}
	for name, tags := range map[string]string{"cmd/stint": "", "cmd/stint-agent": "nethttpomithttp2", "internal/bench/wrapper": "", "internal/bench/noop": ""} {
		build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-tags", tags, "-o", b.dir+"/", "stint.dev/stint/"+name)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
	}
	for name, source := range map[string]string{"printer": printerSource, "reader": readerSource} {
		compile := exec.Command("cc", "-O2", "-o", b.program(name), "-x", "c", "-")
		compile.Stdin = strings.NewReader(source)
		if out, err := compile.CombinedOutput(); err != nil {
			return fmt.Errorf("build the %s with the system's C compiler: %w\n%s", name, err, out)
		}
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	nobody, err := freeAddress()
	if err != nil {
		return err
	}
	b.url, b.away = "http://"+address, "http://"+nobody
	b.server = exec.Command(b.program("stint"), "server", "--listen", address, "--data", filepath.Join(b.dir, "data"))
	b.server.Env = b.environment()
	if err := b.server.Start(); err != nil {
		return err
	}
	return b.ready()
}

func (b *bench) ready() error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for {
		resp, err := http.Get(b.url + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-late:
			return fmt.Errorf("the server is not ready after 20 s: %w", err)
		}
	}
}

func (b *bench) close() {
	if b.server != nil && b.server.Process != nil {
		_ = b.server.Process.Signal(syscall.SIGTERM) // it has ended otherwise
		_ = b.server.Wait()
	}
	_ = os.RemoveAll(b.dir) // a directory of our own below /tmp
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func (b *bench) program(name string) string { return filepath.Join(b.dir, name) }

// environment leaves out what could lead to another server or spool.
func (b *bench) environment() []string {
	env := []string{"STINT_STATE=" + filepath.Join(b.dir, "state")}
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "STINT_") {
			env = append(env, pair)
		}
	}
	return env
}

// agent is the command line of the agent around a job.
func (b *bench) agent(url string, args ...string) []string {
	return append([]string{b.program("stint-agent"), "run", "--server", url, "--quiet"}, args...)
}

func (b *bench) wrapper(url string, args ...string) []string {
	return append([]string{b.program("wrapper"), url}, args...)
}

// command prepares a command whose output is not seen.
func (b *bench) command(args []string) *exec.Cmd {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = b.environment()
	return cmd
}

// timed runs a command to its end and returns how many milliseconds that took.
func (b *bench) timed(args []string) (float64, error) {
	cmd := b.command(args)
	begun := time.Now()
	err := cmd.Run()
	took := time.Since(begun)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return float64(took.Microseconds()) / 1e3, nil
}

var errNoFigure = errors.New("the figure is not there")
