package agentcmd

import (
	"strings"
	"syscall"

	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

// stopSignals are the signals that can ask a job to end.
var stopSignals = []struct {
	name string
	sig  syscall.Signal
}{
	{"TERM", syscall.SIGTERM},
	{"INT", syscall.SIGINT},
	{"QUIT", syscall.SIGQUIT},
	{"HUP", syscall.SIGHUP},
	{"USR1", syscall.SIGUSR1},
	{"USR2", syscall.SIGUSR2},
	{"ABRT", syscall.SIGABRT},
	{"ALRM", syscall.SIGALRM},
	{"WINCH", syscall.SIGWINCH},
	{"KILL", syscall.SIGKILL},
}

// stopSignal reads a signal's name, with or without SIG, in any case.
func stopSignal(text string) (syscall.Signal, error) {
	want := strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(text)), "SIG")
	names := make([]string, 0, len(stopSignals))
	for _, s := range stopSignals {
		if s.name == want {
			return s.sig, nil
		}
		names = append(names, s.name)
	}
	return 0, option.Usagef("--stop-signal: %s is none of %s", job.Quote(text), strings.Join(names, ", "))
}
