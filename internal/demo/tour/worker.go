package tour

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"stint.dev/stint/internal/agent/process/children"
)

// worker is a worker with a state directory of its own, as if it was alone on its host.
type worker struct {
	state string
	log   *os.File
	// process is nil after the worker has ended.
	process *os.Process
}

// startWorker starts a worker of a server, with its files in dir. down ends it.
func startWorker(program, name, url, dir string) (w *worker, err error) {
	w = &worker{state: filepath.Join(dir, name)}
	if err := os.MkdirAll(w.state, 0o700); err != nil {
		return nil, fmt.Errorf("make the state directory of worker %s: %w", name, err)
	}
	if w.log, err = os.Create(filepath.Join(w.state, "messages")); err != nil {
		return nil, fmt.Errorf("make the log of worker %s: %w", name, err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start worker %s: %w", name, err), w.log.Close())
	}
	defer null.Close() //nolint:errcheck // it is empty
	w.process, err = children.Start(program, []string{program, "worker", "run", "--server", url, "--name", name, "--slots", "2"}, &os.ProcAttr{
		Env: environment(os.Environ(), w.state), Files: []*os.File{null, w.log, w.log},
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start worker %s: %w", name, err), w.log.Close())
	}
	return w, nil
}

// environment returns the variables of a worker with a state directory: those of this process without
// options of stint. A variable that is there twice would have its first value.
func environment(own []string, state string) []string {
	env := []string{"STINT_STATE=" + state}
	for _, variable := range own {
		if !strings.HasPrefix(variable, "STINT_") {
			env = append(env, variable)
		}
	}
	return env
}

// printed is what the worker and its agents printed.
func (w *worker) printed() string {
	text, err := os.ReadFile(w.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// down kills the worker, its agents and their jobs, as when its host goes down. It may be called again.
func (w *worker) down(jobs ...int) error {
	if w.process == nil {
		return nil
	}
	err := w.process.Kill()
	_, _ = w.process.Wait() // it was killed
	children.Forget(w.process.Pid)
	w.process = nil
	pids, rerr := w.agents()
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
	}
	for _, pid := range jobs {
		_ = syscall.Kill(-pid, syscall.SIGKILL) // so may this
	}
	return errors.Join(err, rerr, w.log.Close())
}

// agents returns the processes of the agents that the worker has started, from its records.
func (w *worker) agents() (pids []int, err error) {
	files, err := filepath.Glob(filepath.Join(w.state, "worker", "agents", "*"))
	if err != nil {
		return nil, fmt.Errorf("find the agents of the worker: %w", err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, ".tmp") {
			continue // it was being written
		}
		pid, err := readPID(file)
		if err != nil {
			return pids, err
		}
		if pid > 1 {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

func readPID(file string) (int, error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, fmt.Errorf("read the record of an agent: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was read only
	var record struct {
		PID int `json:"pid"`
	}
	if err := json.NewDecoder(f).Decode(&record); err != nil && !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("read the record %s of an agent: %w", file, err)
	}
	return record.PID, nil
}
