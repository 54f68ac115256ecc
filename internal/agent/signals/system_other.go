//go:build !linux

package signals

import (
	"os"
	"syscall"
)

func ignored(syscall.Signal) bool { return false }

// raise sends a signal to the process.
func raise(sig syscall.Signal) {
	_ = syscall.Kill(os.Getpid(), sig) // fails for no valid signal
}

// SuspendSelf stops the process and returns when it is continued.
func SuspendSelf(syscall.Signal) { raise(syscall.SIGSTOP) }
