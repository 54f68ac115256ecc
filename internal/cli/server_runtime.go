package cli

import (
	"os"
	"runtime"
	"runtime/debug"
)

// serverGC is GOGC of a server that is not told another: most of what it holds are idle
// connections, so that collecting twice as often costs a hundredth of a core, and saves a
// sixth of the memory.
const serverGC = 50

// serverProcs is the least GOMAXPROCS of a server that is not told another. With one alone,
// everybody waits with the thread that waits for the disk, until the runtime notices: of
// heartbeats from 1,000 connections, one core then takes a quarter.
const serverProcs = 2

// tuneRuntime sets what a server needs of Go's runtime.
func tuneRuntime() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(serverGC)
	}
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < serverProcs {
		runtime.GOMAXPROCS(serverProcs)
	}
}
