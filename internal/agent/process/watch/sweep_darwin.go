package watch

import "stint.dev/stint/internal/agent/process/member"

// Sweep finds nothing on macOS: the environment of another process cannot be read. The
// watcher ends the process groups of an agent that died.
func Sweep(run string, attempt int) (killed []member.Member, err error) { return nil, nil }
