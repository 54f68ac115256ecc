//go:build linux || darwin

package member

import (
	"strconv"
	"strings"

	"stint.dev/stint/internal/agent/process/procfs"
)

// Marks are the two entries of the environment by which a process of an attempt is recognized.
type Marks [2]string

// MarksOf returns the marks of an attempt.
func MarksOf(run string, attempt int) Marks {
	return Marks{"STINT_RUN_ID=" + run, "STINT_ATTEMPT=" + strconv.Itoa(attempt)}
}

// In reports whether both marks are in an environment as the kernel shows it.
func (m Marks) In(environ []byte) bool {
	return len(environ) > 0 && procfs.HasEnv(environ, m[0]) && procfs.HasEnv(environ, m[1])
}

// AddTo returns env with the marks, unless it has variables of their names.
func (m Marks) AddTo(env []string) []string {
	out := env[:len(env):len(env)]
	for _, mark := range m {
		key, _, _ := strings.Cut(mark, "=")
		found := false
		for _, pair := range env {
			found = found || strings.HasPrefix(pair, key+"=")
		}
		if !found {
			out = append(out, mark)
		}
	}
	return out
}
