package signals

import (
	"os"
	"syscall"
)

// What the other signals ask for.
const (
	PassOn   Action = GiveUp + 1 + iota // send it to the step's process
	Hangup                              // SIGHUP: pass it on, unless the terminal is gone
	Resize                              // the terminal has another size
	Suspend                             // stop the job and the agent until SIGCONT
	Continue                            // SIGCONT: pass it on, unless it ended a Suspend
)

// actions are what the signals that the agent takes ask for. Begin is a stop request: Stop
// decides what it leads to. SIGPIPE is taken so that a reader of our output that
// goes away is an error of that write and not the end of the agent.
//
// Not here: SIGXCPU and SIGXFSZ come from the kernel for what the agent itself does, and Go
// ignores them, as it does the other real-time signals. SIGTRAP, SIGSTKFLT, SIGSYS and
// real-time signal 34 cannot be taken in Go: the agent dies of them, as most programs do.
var actions = map[os.Signal]Action{
	syscall.SIGINT:   Begin,
	syscall.SIGTERM:  Begin,
	syscall.SIGHUP:   Hangup,
	syscall.SIGQUIT:  PassOn,
	syscall.SIGUSR1:  PassOn,
	syscall.SIGUSR2:  PassOn,
	syscall.SIGABRT:  PassOn,
	syscall.SIGALRM:  PassOn,
	syscall.SIGWINCH: Resize,
	syscall.SIGTSTP:  Suspend,
	syscall.SIGTTIN:  Suspend,
	syscall.SIGTTOU:  Suspend,
	syscall.SIGCONT:  Continue,
	syscall.SIGPIPE:  None,
}

// taken are the same signals, those first that would end the agent.
var taken = []os.Signal{
	syscall.SIGQUIT, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGABRT,
	syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU,
	syscall.SIGCONT, syscall.SIGWINCH,
}
