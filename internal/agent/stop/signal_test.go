package stop

import (
	"syscall"
	"testing"
)

func TestStopSignal(t *testing.T) {
	good := map[string]syscall.Signal{
		"TERM": syscall.SIGTERM, "SIGINT": syscall.SIGINT, "quit": syscall.SIGQUIT, " SigUsr1 ": syscall.SIGUSR1,
		"HUP": syscall.SIGHUP, "SIGKILL": syscall.SIGKILL, "WINCH": syscall.SIGWINCH,
	}
	for text, want := range good {
		if got, err := SignalNamed(text); got != want || err != nil {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "SIG", "STOP", "SIGCHLD", "15", "TERMINATE", "SIGSIGTERM", "TERM\n\x00"} {
		if got, err := SignalNamed(text); got != 0 || err == nil {
			t.Errorf("%q is %v, %v; want an error", text, got, err)
		}
	}
}
