package agent

import (
	"fmt"
	"syscall"
	"testing"

	"stint.dev/stint/job"
)

// The table of docs/running.md: every way in which an attempt ends, with every cause of a
// stop, as the init of a container and not, with dropped output and without.
func TestExitOf(t *testing.T) {
	const term, interrupt, kill = syscall.SIGTERM, syscall.SIGINT, syscall.SIGKILL
	code := func(c int) job.Ending { return job.Ending{ExitCode: c} }
	died := func(sig syscall.Signal) job.Ending {
		return job.Ending{Signal: sig.String(), SignalNo: int(sig)}
	}
	notStarted := func(errno string) job.Ending { return job.Ending{StartErr: &job.StartError{Path: "x", Errno: errno}} }
	because := func(e job.Ending, r job.Reason) job.Ending {
		e.Stop = &job.StopCause{Reason: r}
		return e
	}
	canceled := func(e job.Ending) job.Ending { return because(e, job.ByCancel) }
	never := func(r job.Reason) job.Outcome {
		return neverStarted(step{}, &job.StopCause{Reason: r})
	}
	for name, tc := range map[string]struct {
		outcome job.Outcome
		end     processEnd
		code    int
		die     syscall.Signal
	}{
		"exited with 0":                      {job.Classify(code(0)), processEnd{}, 0, 0},
		"exited with 3":                      {job.Classify(code(3)), processEnd{}, 3, 0},
		"exited with 255":                    {job.Classify(code(255)), processEnd{}, 255, 0},
		"install step failed":                {job.Classify(job.Ending{Kind: job.InstallStep, ExitCode: 7}), processEnd{}, 7, 0},
		"died of SIGSEGV":                    {job.Classify(died(syscall.SIGSEGV)), processEnd{}, 139, 0},
		"died of SIGQUIT that was passed on": {job.Classify(died(syscall.SIGQUIT)), processEnd{}, 131, 0},
		"out of memory":                      {job.Classify(job.Ending{Signal: "SIGKILL", SignalNo: 9, OOM: &job.OOM{}}), processEnd{}, 137, 0},
		"not found":                          {job.Classify(notStarted("ENOENT")), processEnd{}, 127, 0},
		"not executable":                     {job.Classify(notStarted("EACCES")), processEnd{}, 126, 0},
		"time limit, exited with 0":          {job.Classify(because(code(0), job.Timeout)), processEnd{sent: term}, 124, 0},
		"time limit, killed":                 {job.Classify(because(died(kill), job.InstallTimeout)), processEnd{sent: kill}, 124, 0},
		"no output":                          {job.Classify(because(died(term), job.NoOutput)), processEnd{sent: term}, 124, 0},
		"no progress":                        {job.Classify(because(died(term), job.NoProgress)), processEnd{sent: term}, 124, 0},

		"canceled, exited with 0":              {job.Classify(canceled(code(0))), processEnd{sent: term}, 143, 0},
		"canceled by SIGINT, exited with 0":    {job.Classify(canceled(code(0))), processEnd{sent: interrupt}, 130, 0},
		"canceled, killed, exited with 0":      {job.Classify(canceled(code(0))), processEnd{sent: kill}, 137, 0},
		"canceled, exited with 3":              {job.Classify(canceled(code(3))), processEnd{sent: term}, 3, 0},
		"canceled, died":                       {job.Classify(canceled(died(term))), processEnd{sent: term}, 143, 0},
		"canceled, killed":                     {job.Classify(canceled(died(kill))), processEnd{sent: kill}, 137, 0},
		"canceled before anything ran":         {never(job.ByCancel), processEnd{sent: term}, 143, 0},
		"canceled between attempts, after a 7": {job.Classify(code(7)), processEnd{between: true}, 143, 0},
		"superseded, exited with 0":            {job.Classify(because(code(0), job.Superseded)), processEnd{sent: term}, 143, 0},
		"superseded, exited with 3":            {job.Classify(because(code(3), job.Superseded)), processEnd{sent: term}, 3, 0},

		"SIGTERM, exited with 0":           {job.Classify(because(code(0), job.AgentStopped)), processEnd{requested: term, sent: term}, 0, 0},
		"SIGTERM, exited with 3":           {job.Classify(because(code(3), job.AgentStopped)), processEnd{requested: term, sent: term}, 3, 0},
		"SIGTERM, died of it":              {job.Classify(because(died(term), job.AgentStopped)), processEnd{requested: term, sent: term}, 143, term},
		"SIGTERM, died of --stop-signal":   {job.Classify(because(died(syscall.SIGUSR1), job.AgentStopped)), processEnd{requested: term, sent: syscall.SIGUSR1}, 143, term},
		"SIGTERM, killed":                  {job.Classify(because(died(kill), job.AgentStopped)), processEnd{requested: term, sent: kill}, 143, term},
		"SIGTERM before anything ran":      {never(job.AgentStopped), processEnd{requested: term, sent: term}, 143, term},
		"SIGTERM between attempts":         {job.Classify(code(7)), processEnd{requested: term, between: true}, 143, term},
		"SIGINT, exited with 0":            {job.Classify(canceled(code(0))), processEnd{requested: interrupt, sent: interrupt}, 0, 0},
		"SIGINT, died of it":               {job.Classify(canceled(died(interrupt))), processEnd{requested: interrupt, sent: interrupt}, 130, interrupt},
		"SIGINT, killed":                   {job.Classify(canceled(died(kill))), processEnd{requested: interrupt, sent: kill}, 130, interrupt},
		"SIGINT before anything ran":       {never(job.ByCancel), processEnd{requested: interrupt, sent: interrupt}, 130, interrupt},
		"SIGINT between attempts":          {job.Classify(died(kill)), processEnd{requested: interrupt, between: true}, 130, interrupt},
		"SIGTERM after the job had failed": {job.Classify(code(3)), processEnd{requested: term, sent: term}, 3, 0},
		"SIGTERM after the job had died":   {job.Classify(died(syscall.SIGSEGV)), processEnd{requested: term, sent: term}, 139, 0},
	} {
		for _, init := range []bool{false, true} {
			for _, dropped := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, init %v, dropped %v", name, init, dropped), func(t *testing.T) {
					wantCode, wantDie := tc.code, tc.die
					if wantCode == 0 && dropped {
						wantCode = 125
					}
					if init {
						wantDie = 0
					}
					tc.end.init, tc.end.dropped = init, dropped
					if code, die := exitOf(tc.outcome, tc.end); code != wantCode || die != wantDie {
						t.Errorf("%d and %v, want %d and %v", code, die, wantCode, wantDie)
					}
				})
			}
		}
	}
}
