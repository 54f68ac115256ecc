package signals

import (
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Taker receives the signals of the process.
type Taker struct {
	// C delivers them.
	C     chan os.Signal
	ready chan struct{}
}

// Take begins to take signals, beside what the caller does: each costs two changes of thread.
// It is not undone, because the process ends with the command.
//
// What the caller of the program ignores is not taken: it stays so for the agent and for the
// job.
func Take() *Taker {
	keepIgnored()
	t := &Taker{C: make(chan os.Signal, 64), ready: make(chan struct{})}
	go func() {
		defer close(t.ready)
		all := slices.DeleteFunc(slices.Clone(taken), callerIgnored)
		if len(all) > 0 { // none would mean every one
			signal.Notify(t.C, all...)
			recordOrder()
		}
	}()
	return t
}

// Wait returns when the signals are taken.
func (t *Taker) Wait() { <-t.ready }

// callerIgnored reports whether the caller of the program ignores a signal.
func callerIgnored(s os.Signal) bool {
	sig, ok := s.(syscall.Signal)
	return signal.Ignored(s) || ok && callerIgnores(sig)
}

// prepareLimit is how long a stop request waits for the caller of Guard.
const prepareLimit = time.Second

// Guard is for the time in which C is not read yet. A stop request that comes then ends the
// process by calling die, unless ready is called within prepareLimit: a file system that does
// not answer may hold up the caller for ever. ready puts back what has come; a second call does
// nothing.
func (t *Taker) Guard(die func(syscall.Signal)) (ready func()) {
	quit, came := make(chan struct{}), make(chan []os.Signal, 1)
	go func() {
		var all []os.Signal
		defer func() { came <- all }()
		var stop syscall.Signal
		var late <-chan time.Time
		for {
			select {
			case s := <-t.C:
				all = append(all, s)
				if sig, ok := s.(syscall.Signal); ok && actions[s] == Begin && stop == 0 {
					stop, late = sig, time.After(prepareLimit)
				}
			case <-late:
				die(stop)
			case <-quit:
				return
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(quit)
		for _, s := range <-came {
			select {
			case t.C <- s:
			default: // the channel holds many signals already; this one is dropped
			}
		}
	})
}

// Die ends the process by a signal, so that the process that waits for it sees that. It returns when
// the signal cannot end it: as the init of a container, or when it is blocked.
func Die(sig syscall.Signal) {
	if os.Getpid() == 1 {
		return
	}
	signal.Reset(sig)
	raise(sig)
}
