package command

import (
	"os"
	"strings"
)

// HostName is the name of this host.
func HostName() string {
	name, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return name
}

// BootID identifies the boot of this host; empty where the system has none.
func BootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}
