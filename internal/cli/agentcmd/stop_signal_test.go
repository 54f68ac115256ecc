package agentcmd

import (
	"errors"
	"syscall"
	"testing"

	"stint.dev/stint/internal/cli/option"
)

func TestStopSignal(t *testing.T) {
	good := map[string]syscall.Signal{
		"TERM": syscall.SIGTERM, "SIGINT": syscall.SIGINT, "quit": syscall.SIGQUIT, " SigUsr1 ": syscall.SIGUSR1,
		"HUP": syscall.SIGHUP, "SIGKILL": syscall.SIGKILL, "WINCH": syscall.SIGWINCH,
	}
	for text, want := range good {
		if got, err := stopSignal(text); got != want || err != nil {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "SIG", "STOP", "SIGCHLD", "15", "TERMINATE", "SIGSIGTERM", "TERM\n\x00"} {
		got, err := stopSignal(text)
		var usage *option.UsageError
		if got != 0 || !errors.As(err, &usage) {
			t.Errorf("%q is %v, %v; want a usage error", text, got, err)
		}
	}
}
