package doctor

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/agent/freespace"
	"stint.dev/stint/job"
)

const (
	// lowSpace is the free space below which an outage of the server can lose output.
	lowSpace = 1 << 30
	// fewFiles is what an agent may need: one for each process of a large job without
	// cgroups.
	fewFiles = 1200
	// minAddressSpace is what Go's runtime needs to start and to grow. Measured for the static
	// program of Go 1.26 on amd64: it never starts with 0.5 GB, mostly not with 1.25 GB, 22 times
	// in 25 with 1.3 GB, and always from 1.4 GB on.
	minAddressSpace = 2e9
	// minTasks is how many processes and threads an agent and a job of one process need.
	// Measured in the same way: it never works with 10, 13 times in 15 with 14, and always with 16.
	minTasks = 16
)

// checkRuntime checks what Go's runtime needs before the agent runs.
func checkRuntime() []Finding {
	var space, tasks unix.Rlimit
	if err := errors.Join(unix.Getrlimit(unix.RLIMIT_AS, &space), unix.Getrlimit(unix.RLIMIT_NPROC, &tasks)); err != nil {
		return []Finding{{"runtime", "warning", "the limits of this user are not known: " + err.Error(), ""}}
	}
	most := uint64(tasks.Cur)
	if os.Geteuid() == 0 {
		most = unix.RLIM_INFINITY // the kernel does not hold root to it
	}
	return runtimeFindings(uint64(space.Cur), most, userTasks())
}

// runtimeFindings judges the limits on the address space, in bytes, and on the processes and
// threads of the user, of which some are used.
func runtimeFindings(space, most, used uint64) (found []Finding) {
	if space < minAddressSpace {
		found = append(found, Finding{
			"runtime", "error",
			fmt.Sprintf("the address space is limited to %s (ulimit -v, RLIMIT_AS), and with less than 2 GB stint run may not start", job.Bytes(int64(space))),
			"leave stint run without the limit and set it in the command: stint run -- sh -c 'ulimit -v …; exec …'",
		})
	}
	if left := most - min(used, most); left < minTasks {
		found = append(found, Finding{
			"runtime", "error",
			fmt.Sprintf("of at most %d processes and threads of this user (ulimit -u, RLIMIT_NPROC) %d are left, and with less than %d stint run may not start", most, left, minTasks),
			"allow more (ulimit -u, LimitNPROC=)",
		})
	}
	if found == nil {
		found = []Finding{{"runtime", "ok", "address space and threads suffice", ""}}
	}
	return found
}

// checkFiles checks the limit of open files.
func checkFiles() Finding {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return Finding{"files", "warning", "the limit of open files is not known: " + err.Error(), ""}
	}
	return filesFinding(uint64(limit.Cur))
}

func filesFinding(most uint64) Finding {
	if most < fewFiles {
		return Finding{"files", "warning", fmt.Sprintf("at most %d open files", most), fmt.Sprintf("allow %d (ulimit -n, LimitNOFILE=), for jobs of many processes", fewFiles)}
	}
	return Finding{"files", "ok", fmt.Sprintf("at most %d open files", most), ""}
}

// spaceFinding is about a state directory that can be written.
func spaceFinding(dir string) Finding {
	space, err := freespace.Of(dir)
	if err != nil {
		return Finding{"state", "ok", dir + " can be written", ""}
	}
	detail := fmt.Sprintf("%s can be written, %s free", dir, job.Bytes(space.Free))
	if space.Free < lowSpace {
		return Finding{"state", "warning", detail, "make room, or set STINT_STATE to a larger disk: output that finds none is lost while the server is away"}
	}
	return Finding{"state", "ok", detail, ""}
}
