package servercmd

import (
	"os"
	"runtime"
)

// serverProcs is the default of GOMAXPROCS for a server, for each core. With one for each
// core, a short request waits until every one in front of it has had its
// 10 ms; with more, the kernel runs its thread at once. On two cores, while one client causes as
// much work as it can, 99 of 100 heartbeats of others are answered within 70 ms instead of 370 ms
// (make hostile). With four for each core, threads that hold a lock wait for a core too often.
const serverProcs = 2

// tuneRuntime sets what a server needs of Go's runtime.
func tuneRuntime() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(serverProcs * runtime.GOMAXPROCS(0))
	}
}
