package agentcmd

import (
	"slices"
	"testing"
)

func TestShellOfAJob(t *testing.T) {
	for name, c := range map[string]struct {
		env, want []string
		path      string
	}{
		"the shell of cron": {[]string{"A=1", "SHELL=/usr/local/bin/stint-sh", "A=2"}, []string{"A=1", "SHELL=/bin/sh", "A=2"}, "/bin/sh"},
		"another shell":     {[]string{"STINT_REAL_SHELL=/bin/bash", "SHELL=/x/stint-sh", "STINT_CRON_JOB=b-2", "STINT_JOB=b"}, []string{"SHELL=/bin/bash", "STINT_JOB=b"}, "/bin/bash"},
		"itself":            {[]string{"STINT_REAL_SHELL=/x/stint-sh", "SHELL=/x/stint-sh"}, []string{"SHELL=/bin/sh"}, "/bin/sh"},
		"no variable":       {[]string{"HOME=/"}, []string{"HOME=/"}, "/bin/sh"},
		"its own variable":  {[]string{"SHELL=/bin/zsh"}, []string{"SHELL=/bin/zsh"}, "/bin/sh"},
	} {
		if s := newShell(c.env); s.path != c.path || !slices.Equal(s.env, c.want) {
			t.Errorf("%s: %s, %q; want %s, %q", name, s.path, s.env, c.path, c.want)
		}
	}
	if !IsShell("/usr/local/bin/stint-sh") || !IsShell("stint-sh") || IsShell("/usr/bin/stint") || IsShell("") {
		t.Error("the name of the shell is not known")
	}
}
