//go:build linux || darwin

package watch

import (
	_ "embed"
	"io"
	"os"
	"syscall"

	"stint.dev/stint/internal/agent/process/children"
)

// watcherScript is what the watcher runs; see there.
//
//go:embed watcher.sh
var watcherScript string

// watcher is a small shell beside the agent that outlives it. It holds the read end of a
// pipe whose write end only the agent has: if the agent dies, by whatever cause, the pipe
// ends, and the watcher kills what the attempt left. It was preferred to a second Go
// process because it is cheaper (0.2 ms to start, 0.4 MB of memory of its own) and short enough to
// be reviewed; the figures are in docs/adr/0003-containment.md.
type watcher struct {
	process *os.Process
	pipe    *os.File
}

func (g *Guard) startWatcher() (*watcher, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	null, err := children.OpenNull()
	if err != nil {
		w.Close()
		return nil, err
	}
	defer null.Close()
	files := []*os.File{r, null, null}
	p, err := g.startFinisher(files)
	if p == nil || err != nil {
		p, err = g.startShell("/bin/sh", append(files, nil, nil))
	}
	if err != nil {
		w.Close()
		return nil, err
	}
	return &watcher{process: p, pipe: w}, nil
}

// startFinisher starts a watcher that can finish the attempt; nil where there is nothing to
// finish, or no way to do it that keeps the settings to itself.
func (g *Guard) startFinisher(files []*os.File) (*os.Process, error) {
	if g.finish == nil {
		return nil, nil //nolint:nilnil // none is wanted
	}
	f, err := openFinisher(g.finish)
	if err != nil {
		return nil, err
	}
	defer f.close()
	return g.startShell(f.shell, append(files, f.program, f.settings))
}

func (g *Guard) startShell(path string, files []*os.File) (*os.Process, error) {
	// A busybox is the shell only under the name sh; $0 has the path of the program.
	args := append([]string{"sh", "-c", watcherScript, "stint-watcher", g.marks[0], g.marks[1]}, g.group.CgroupDirs()...)
	return children.Start(path, args, &os.ProcAttr{
		Dir:   "/",
		Env:   []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		Files: append(files, g.heldFiles()...),
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
}

// heldFiles returns descriptor 5 of the watcher, if it has one.
func (g *Guard) heldFiles() []*os.File {
	if g.held == nil {
		return nil
	}
	return []*os.File{g.held}
}

// send sends a line. The error of a watcher that was killed is ignored: it does not concern the job.
func (w *watcher) send(line string) { _, _ = io.WriteString(w.pipe, line+"\n") }

// end ends the watcher. It is killed before the pipe closes, so it cannot take the
// end of the pipe for the agent's death.
func (w *watcher) end() {
	if w == nil {
		return
	}
	_ = w.process.Kill() // it ended before: the wait shows it
	_, _ = w.process.Wait()
	children.Forget(w.process.Pid)
	w.pipe.Close()
}
