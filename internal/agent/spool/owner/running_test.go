package owner

import (
	"os"
	"strings"
	"testing"
)

// A pid is named together with its host, or not at all.
func TestHolderOfARun(t *testing.T) {
	here, there := Host{"here", "1"}, Host{"there", "2"}
	pid := os.Getpid()
	const nobody = 1<<22 + 1 // more than any process has
	for _, c := range []struct {
		by   Holder
		here Host
		want RunningError
		text string
	}{
		{Holder{pid, here}, here, RunningError{PID: pid}, "run r is running on this host, pid "},
		{Holder{nobody, here}, here, RunningError{}, "another process holds the journal of run r"},
		{Holder{0, here}, here, RunningError{}, "another process holds the journal of run r"},
		{Holder{-1, here}, here, RunningError{}, "another process holds the journal of run r"},
		{Holder{pid, Host{"container", "1"}}, here, RunningError{PID: pid}, "run r is running on this host, pid "},
		{Holder{pid, Host{"here", "0"}}, here, RunningError{PID: pid}, "run r is running on this host, pid "},
		{Holder{pid, there}, here, RunningError{PID: pid, Host: "there"}, "run r is running on host there, pid "},
		{Holder{nobody, there}, here, RunningError{PID: nobody, Host: "there"}, "run r is running on host there, pid "},
		{Holder{0, there}, here, RunningError{}, "another process holds the journal of run r"},
		{Holder{pid, Host{"", "2"}}, here, RunningError{}, "another process holds the journal of run r"},
		{Holder{pid, Host{"localhost", "2"}}, here, RunningError{}, "another process holds the journal of run r"},
		{Holder{pid, Host{}}, here, RunningError{}, "another process holds the journal of run r"},
		{Holder{pid, here}, Host{}, RunningError{}, "another process holds the journal of run r"},
		{Holder{}, here, RunningError{}, "another process holds the journal of run r"},
	} {
		c.want.Run = "r"
		if got := Running("r", c.by, c.here); *got != c.want || !strings.HasPrefix(got.Error(), c.text) {
			t.Errorf("held by %+v, seen from %+v: %+v, %q", c.by, c.here, *got, got)
		}
	}
}
