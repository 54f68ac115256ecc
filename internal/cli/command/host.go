package command

import (
	"cmp"
	"os"
	"strings"

	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

// HostRow returns the option that names the host that runs are reported under.
func HostRow() option.Option {
	return option.Option{
		Name: "host", Value: "NAME", Inherited: true, Effect: option.Describes, Check: job.CheckHost,
		Help: "name of the host that runs are reported under, for containers, whose own is a random id (default: the name of the host)",
	}
}

// ReportedHost returns the name of the host that runs are reported under. Locks and journals of this host
// go by HostName all the same.
func ReportedHost(opts *option.Set) string { return cmp.Or(opts.Text("host"), HostName()) }

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
