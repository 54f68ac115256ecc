package agentcmd

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	"stint.dev/stint/job"
)

// checkPipes says whether the 1 MiB pipes that make output cheap can be had.
func checkPipes() finding {
	const path = "/proc/sys/fs/pipe-max-size"
	text, err := os.ReadFile(path)
	if err != nil {
		return finding{"pipes", "warning", err.Error(), "output is read in smaller pieces"}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err == nil && n < 1<<20 && os.Geteuid() != 0 {
		return finding{"pipes", "warning", fmt.Sprintf("%s is %s", path, job.Bytes(n)), "set it to 1048576 so that jobs that print much are not held up"}
	}
	return finding{"pipes", "ok", "a job's output gets pipes of 1 MiB", ""}
}

// freeSpace says how much room the file system of dir has.
func freeSpace(dir string) string {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return ""
	}
	return fmt.Sprintf(", %s free", job.Bytes(int64(st.Bavail)*int64(st.Bsize)))
}
