// Package host builds and starts the programs that are measured, and reads what they use.
package host

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Jobs and yardsticks in C: one that prints, the least that can take what it prints, and one that writes down when it started.
var (
	//go:embed sources/printer.c
	printerSource string
	//go:embed sources/reader.c
	readerSource string
	//go:embed sources/stamp.c
	stampSource string
)

// ErrNoFigure says that a figure is not where it should be.
var ErrNoFigure = errors.New("the figure is not there")

// Host has the programs that are measured, and a directory for what they write.
type Host struct {
	Ctx context.Context
	// Dir is removed at the end.
	Dir string
}

// New makes a directory and builds the programs as they are released.
func New(ctx context.Context) (*Host, error) {
	dir, err := os.MkdirTemp("", "stint-bench-")
	if err != nil {
		return nil, err
	}
	h := &Host{Ctx: ctx, Dir: dir}
	if err := h.build(); err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// Close removes the directory.
func (h *Host) Close() {
	_ = os.RemoveAll(h.Dir) // a directory of our own below /tmp
}

func (h *Host) build() error {
	if err := os.Chmod(h.Dir, 0o755); err != nil { // the ordinary user of one measurement runs them too
		return err
	}
	agent := []string{
		"-tags", "nethttpomithttp2", "-gcflags=crypto/...=-l", "-gcflags=github.com/spf13/...=-l", "-gcflags=github.com/netresearch/...=-l",
		"-gcflags=stint.dev/stint/internal/cli/...=-l", "-gcflags=stint.dev/stint/internal/definition=-l", "-gcflags=stint.dev/stint/internal/policy=-l",
		"-gcflags=stint.dev/stint/internal/yaml=-l", "-gcflags=stint.dev/stint/client/...=-l", "-gcflags=stint.dev/stint/internal/agent/cache/...=-l",
		"-gcflags=net/...=-l", "-gcflags=mime/...=-l", "-gcflags=math/big=-l", "-gcflags=text/template/...=-l", "-gcflags=encoding/json=-l", "-gcflags=encoding/asn1=-l", "-gcflags=reflect=-l",
	} // AGENT_FLAGS of the Makefile
	for name, flags := range map[string][]string{"cmd/stint": nil, "cmd/stint-agent": agent, "internal/bench/wrapper": nil, "internal/bench/noop": nil, "internal/bench/loop": nil} {
		args := append([]string{"build", "-trimpath", "-ldflags", "-s -w"}, flags...)
		build := exec.Command("go", append(args, "-o", h.Dir+"/", "stint.dev/stint/"+name)...)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
	}
	for name, source := range map[string]string{"printer": printerSource, "reader": readerSource, "stamp": stampSource} {
		compile := exec.Command("cc", "-O2", "-o", h.Program(name), "-x", "c", "-")
		compile.Stdin = strings.NewReader(source)
		if out, err := compile.CombinedOutput(); err != nil {
			return fmt.Errorf("build the %s with the system's C compiler: %w\n%s", name, err, out)
		}
	}
	return nil
}

// Program returns the path of a program, or of a file in the directory.
func (h *Host) Program(name string) string { return filepath.Join(h.Dir, name) }

// environment leaves out what could lead to another server or spool.
func (h *Host) environment() []string {
	env := []string{"STINT_STATE=" + filepath.Join(h.Dir, "state")}
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "STINT_") {
			env = append(env, pair)
		}
	}
	return env
}

// Command prepares a command whose output is not seen.
func (h *Host) Command(args []string) *exec.Cmd {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = h.environment()
	return cmd
}

// Time runs a command to its end and returns how many milliseconds that took.
func (h *Host) Time(args []string) (float64, error) {
	cmd := h.Command(args)
	begun := time.Now()
	err := cmd.Run()
	took := time.Since(begun)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return float64(took.Microseconds()) / 1e3, nil
}

// Pinned is a command on one core.
func Pinned(core string, args ...string) []string {
	return append([]string{"taskset", "-c", core}, args...)
}

// PinSelf moves this process to one core, until release.
func (h *Host) PinSelf(core string) (release func(), err error) {
	self := strconv.Itoa(os.Getpid())
	move := func(cores string) error { return h.Command([]string{"taskset", "-apc", cores, self}).Run() }
	if err := move(core); err != nil {
		return nil, fmt.Errorf("taskset (util-linux), on a machine of at least two cores: %w", err)
	}
	return func() {
		if err := move("0-" + strconv.Itoa(runtime.NumCPU()-1)); err != nil {
			fmt.Fprintln(os.Stderr, "bench: what follows is measured on one core:", err)
		}
	}, nil
}

// FreeAddress returns an address of this host at which nobody listens.
func FreeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
