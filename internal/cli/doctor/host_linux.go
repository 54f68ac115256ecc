package doctor

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"stint.dev/stint/internal/agent/process/contain"
	"stint.dev/stint/job"
)

const (
	maxPipe   = "/proc/sys/fs/pipe-max-size"
	userPipes = "/proc/sys/fs/pipe-user-pages-soft"
	// pipePages is what the two pipes of 1 MiB of a job count against the user.
	pipePages = 512
)

// checkPipes reports whether pipes of 1 MiB, which make output cheap, are available, and for
// how many jobs at a time.
func checkPipes() Finding {
	most, err := kernelNumber(maxPipe)
	if err != nil {
		return Finding{"pipes", "warning", err.Error(), "output is read in smaller pieces"}
	}
	pages, err := kernelNumber(userPipes)
	if err != nil {
		return Finding{"pipes", "warning", err.Error(), "output may be read in smaller pieces"}
	}
	return pipesFinding(most, pages, os.Geteuid() == 0)
}

// pipesFinding judges the kernel's limits; root is bound by neither.
func pipesFinding(most, pages int64, root bool) Finding {
	const enough = "a job's output gets pipes of 1 MiB"
	switch {
	case root || most >= 1<<20 && pages == 0:
		return Finding{"pipes", "ok", enough, ""}
	case most < 1<<20:
		return Finding{"pipes", "warning", fmt.Sprintf("%s is %s", maxPipe, job.Bytes(most)), "set it to 1048576; with smaller pipes jobs that print much are slower"}
	case pages < 8*pipePages:
		return Finding{
			"pipes", "warning", fmt.Sprintf("%s, for %d jobs of this user at a time", enough, pages/pipePages),
			fmt.Sprintf("set %s to %d for each job more", userPipes, pipePages),
		}
	}
	return Finding{"pipes", "ok", fmt.Sprintf("%s, for %d jobs of this user at a time", enough, pages/pipePages), ""}
}

func kernelNumber(file string) (int64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", file, err)
	}
	return n, nil
}

// better returns how to get better containment than level; empty if there is no better one.
func better(level string) string {
	switch level {
	case contain.LevelCgroup1:
		return "cgroup v2 would kill and count better: boot with systemd.unified_cgroup_hierarchy=1"
	case contain.LevelProcessGroup:
		return "for limits and exact figures run stint as root, or where systemd delegates cgroups: systemd-run --user --scope -p Delegate=yes stint run …"
	}
	return ""
}

// userTasks counts the processes and threads of this user, without those of this process.
func userTasks() (n uint64) {
	entries, _ := os.ReadDir("/proc") // without it none are known
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		text, err := os.ReadFile("/proc/" + e.Name() + "/status")
		if err != nil {
			continue
		}
		uid, threads := statusNumber(text, "Uid:"), statusNumber(text, "Threads:")
		if uid == int64(os.Getuid()) && threads > 0 {
			n += uint64(threads)
		}
	}
	return n
}

// statusNumber returns the first number of a line of /proc/PID/status; -1 for none.
func statusNumber(status []byte, key string) int64 {
	_, after, found := strings.Cut("\n"+string(status), "\n"+key)
	words := strings.Fields(after)
	if !found || len(words) == 0 {
		return -1
	}
	n, err := strconv.ParseInt(words[0], 10, 64)
	if err != nil {
		return -1
	}
	return n
}
