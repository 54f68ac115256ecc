package agent

import (
	"fmt"
	"syscall"
	"testing"

	"stint.dev/stint/internal/agent/exit"
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
		end     exit.End
		code    int
		die     syscall.Signal
	}{
		"exited with 0":                      {job.Classify(code(0)), exit.End{}, 0, 0},
		"exited with 3":                      {job.Classify(code(3)), exit.End{}, 3, 0},
		"exited with 255":                    {job.Classify(code(255)), exit.End{}, 255, 0},
		"install step failed":                {job.Classify(job.Ending{Kind: job.InstallStep, ExitCode: 7}), exit.End{}, 7, 0},
		"died of SIGSEGV":                    {job.Classify(died(syscall.SIGSEGV)), exit.End{}, 139, 0},
		"died of SIGQUIT that was passed on": {job.Classify(died(syscall.SIGQUIT)), exit.End{}, 131, 0},
		"out of memory":                      {job.Classify(job.Ending{Signal: "SIGKILL", SignalNo: 9, OOM: &job.OOM{}}), exit.End{}, 137, 0},
		"not found":                          {job.Classify(notStarted("ENOENT")), exit.End{}, 127, 0},
		"not executable":                     {job.Classify(notStarted("EACCES")), exit.End{}, 126, 0},
		"time limit, exited with 0":          {job.Classify(because(code(0), job.Timeout)), exit.End{Sent: term}, 124, 0},
		"time limit, killed":                 {job.Classify(because(died(kill), job.InstallTimeout)), exit.End{Sent: kill}, 124, 0},
		"no output":                          {job.Classify(because(died(term), job.NoOutput)), exit.End{Sent: term}, 124, 0},
		"no progress":                        {job.Classify(because(died(term), job.NoProgress)), exit.End{Sent: term}, 124, 0},

		"canceled, exited with 0":              {job.Classify(canceled(code(0))), exit.End{Sent: term}, 143, 0},
		"canceled by SIGINT, exited with 0":    {job.Classify(canceled(code(0))), exit.End{Sent: interrupt}, 130, 0},
		"canceled, killed, exited with 0":      {job.Classify(canceled(code(0))), exit.End{Sent: kill}, 137, 0},
		"canceled, exited with 3":              {job.Classify(canceled(code(3))), exit.End{Sent: term}, 3, 0},
		"canceled, died":                       {job.Classify(canceled(died(term))), exit.End{Sent: term}, 143, 0},
		"canceled, killed":                     {job.Classify(canceled(died(kill))), exit.End{Sent: kill}, 137, 0},
		"canceled before anything ran":         {never(job.ByCancel), exit.End{Sent: term}, 143, 0},
		"canceled between attempts, after a 7": {job.Classify(code(7)), exit.End{Between: true}, 143, 0},
		"superseded, exited with 0":            {job.Classify(because(code(0), job.Superseded)), exit.End{Sent: term}, 143, 0},
		"superseded, exited with 3":            {job.Classify(because(code(3), job.Superseded)), exit.End{Sent: term}, 3, 0},

		"SIGTERM, exited with 0":           {job.Classify(because(code(0), job.AgentStopped)), exit.End{Requested: term, Sent: term}, 0, 0},
		"SIGTERM, exited with 3":           {job.Classify(because(code(3), job.AgentStopped)), exit.End{Requested: term, Sent: term}, 3, 0},
		"SIGTERM, died of it":              {job.Classify(because(died(term), job.AgentStopped)), exit.End{Requested: term, Sent: term}, 143, term},
		"SIGTERM, died of --stop-signal":   {job.Classify(because(died(syscall.SIGUSR1), job.AgentStopped)), exit.End{Requested: term, Sent: syscall.SIGUSR1}, 143, term},
		"SIGTERM, killed":                  {job.Classify(because(died(kill), job.AgentStopped)), exit.End{Requested: term, Sent: kill}, 143, term},
		"SIGTERM before anything ran":      {never(job.AgentStopped), exit.End{Requested: term, Sent: term}, 143, term},
		"SIGTERM between attempts":         {job.Classify(code(7)), exit.End{Requested: term, Between: true}, 143, term},
		"SIGINT, exited with 0":            {job.Classify(canceled(code(0))), exit.End{Requested: interrupt, Sent: interrupt}, 0, 0},
		"SIGINT, died of it":               {job.Classify(canceled(died(interrupt))), exit.End{Requested: interrupt, Sent: interrupt}, 130, interrupt},
		"SIGINT, killed":                   {job.Classify(canceled(died(kill))), exit.End{Requested: interrupt, Sent: kill}, 130, interrupt},
		"SIGINT before anything ran":       {never(job.ByCancel), exit.End{Requested: interrupt, Sent: interrupt}, 130, interrupt},
		"SIGINT between attempts":          {job.Classify(died(kill)), exit.End{Requested: interrupt, Between: true}, 130, interrupt},
		"SIGTERM after the job had failed": {job.Classify(code(3)), exit.End{Requested: term, Sent: term}, 3, 0},
		"SIGTERM after the job had died":   {job.Classify(died(syscall.SIGSEGV)), exit.End{Requested: term, Sent: term}, 139, 0},
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
					tc.end.Init, tc.end.Dropped = init, dropped
					if code, die := exit.Of(tc.outcome, tc.end); code != wantCode || die != wantDie {
						t.Errorf("%d and %v, want %d and %v", code, die, wantCode, wantDie)
					}
				})
			}
		}
	}
}
