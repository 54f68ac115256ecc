package stop

import (
	"fmt"
	"strings"
	"syscall"

	"stint.dev/stint/job"
)

// requests are the signals that can ask a job to end.
var requests = []struct {
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

// SignalNamed returns a signal that can ask a job to end by its name, with or without SIG, in any case.
func SignalNamed(text string) (syscall.Signal, error) {
	want := strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(text)), "SIG")
	names := make([]string, 0, len(requests))
	for _, s := range requests {
		if s.name == want {
			return s.sig, nil
		}
		names = append(names, s.name)
	}
	return 0, fmt.Errorf("%s is none of %s", job.Quote(text), strings.Join(names, ", "))
}
