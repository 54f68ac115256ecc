package progress

import (
	"slices"
	"testing"
	"time"
)

func TestWithNotify(t *testing.T) {
	for theirs, want := range map[string]string{
		"5000000": "WATCHDOG_USEC=2000000", "1000": "WATCHDOG_USEC=1000", "soon": "WATCHDOG_USEC=2000000",
		"9223372036854775807": "WATCHDOG_USEC=2000000", "-3": "WATCHDOG_USEC=2000000",
	} {
		env := []string{"A=1", "NOTIFY_SOCKET=/x", "WATCHDOG_USEC=" + theirs, "WATCHDOG_PID=7", "B="}
		if got, want := withNotify(env, "@s", 2*time.Second), []string{"A=1", "B=", "NOTIFY_SOCKET=@s", want}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got, want := withNotify([]string{"A=1"}, "@s", 0), []string{"A=1", "NOTIFY_SOCKET=@s"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
