//go:build linux || darwin

package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"stint.dev/stint/internal/agent/process/children"
	"stint.dev/stint/internal/agent/process/contain"
)

// maxAnswer bounds the output of a program, in bytes.
const maxAnswer = 256 << 10

// RunProgram runs a program of the host, which belongs to no attempt, and returns what it prints
// on stdout. args[0] is its path, env its whole environment. It returns at the end of ctx
// at the latest: a goroutine waits for a program that cannot be killed then, because it waits
// inside the kernel.
func RunProgram(ctx context.Context, args, env []string) ([]byte, error) {
	out, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", args[0], err)
	}
	defer out.Close()
	null, err := children.OpenNull()
	if err != nil {
		w.Close()
		return nil, fmt.Errorf("run %s: %w", args[0], err)
	}
	readAhead(args[0], "")
	back := contain.AsCaller()
	p, err := children.Start(args[0], args, &os.ProcAttr{
		Dir: "/", Env: env, Files: []*os.File{null, w, null}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	back()
	null.Close()
	w.Close()
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", args[0], err)
	}
	ended := make(chan error, 1)
	go func() {
		state, err := p.Wait()
		children.Forget(p.Pid)
		if err == nil && !state.Success() {
			err = errors.New(state.String())
		}
		ended <- err
	}()
	stop := context.AfterFunc(ctx, func() {
		_ = p.Kill() // it has ended, or the wait shows it
		_ = out.SetReadDeadline(time.Now())
	})
	defer stop()
	answer, err := io.ReadAll(io.LimitReader(out, maxAnswer))
	_ = out.Close() // a program that prints more gets SIGPIPE
	select {
	case endErr := <-ended:
		err = errors.Join(err, endErr)
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", args[0], err)
	}
	return answer, nil
}
