package e2e

import (
	"maps"
	"testing"
)

// A worker is upgraded under ten running jobs, and one of them runs out of memory: the others go on, and end with
// their exit codes. The script names each check.
func TestWorkerUnitUnderSystemd(t *testing.T) {
	m := findMachine(t, "worker-unit")
	// The systemd of Debian 13 can put a service with delegated cgroups into one of them (DelegateSubgroup).
	files := debian(t, "trixie", "systemd,systemd-sysv,procps")
	maps.Copy(files, checkout(t, m, "worker.sh"))
	bootSystemd(t, m, writeImage(t, files), 2048)
}
