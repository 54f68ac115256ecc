package agentcmd

import (
	"fmt"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/agent/freespace"
	"stint.dev/stint/job"
)

const (
	// lowSpace is where an outage of the server can begin to cost output.
	lowSpace = 1 << 30
	// fewFiles is what an agent may want: one for each process of a big job without
	// cgroups.
	fewFiles = 1200
)

// checkFiles looks at the limit of open files.
func checkFiles() finding {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return finding{"files", "warning", "the limit of open files is not known: " + err.Error(), ""}
	}
	return filesFinding(uint64(limit.Cur))
}

func filesFinding(most uint64) finding {
	if most < fewFiles {
		return finding{"files", "warning", fmt.Sprintf("at most %d open files", most), fmt.Sprintf("allow %d (ulimit -n, LimitNOFILE=), for jobs of many processes", fewFiles)}
	}
	return finding{"files", "ok", fmt.Sprintf("at most %d open files", most), ""}
}

// spaceFinding is about a state directory that can be written.
func spaceFinding(dir string) finding {
	space, err := freespace.Of(dir)
	if err != nil {
		return finding{"state", "ok", dir + " can be written", ""}
	}
	detail := fmt.Sprintf("%s can be written, %s free", dir, job.Bytes(space.Free))
	if space.Free < lowSpace {
		return finding{"state", "warning", detail, "make room, or set STINT_STATE to a larger disk: output that finds none is lost while the server is away"}
	}
	return finding{"state", "ok", detail, ""}
}
