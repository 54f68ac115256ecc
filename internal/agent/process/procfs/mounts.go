package procfs

import (
	"path"
	"strconv"
	"strings"
)

// Mount is one mounted cgroup hierarchy.
type Mount struct {
	Point string // where it is mounted
	Root  string // which of its directories is mounted there
	V2    bool
	// Controllers of a v1 hierarchy: "memory", or "cpu" and "cpuacct" together.
	Controllers []string
}

// CgroupMounts reads the cgroup hierarchies out of /proc/self/mountinfo.
func CgroupMounts(mountinfo string) []Mount {
	var mounts []Mount
	for line := range strings.Lines(mountinfo) {
		before, after, found := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !found || len(left) < 6 || len(right) < 3 {
			continue
		}
		m := Mount{Root: unescape(left[3]), Point: unescape(left[4])}
		switch right[0] {
		case "cgroup2":
			m.V2 = true
		case "cgroup":
			m.Controllers = strings.Split(right[2], ",")
		default:
			continue
		}
		mounts = append(mounts, m)
	}
	return mounts
}

// HidesProcesses reports whether the /proc in a /proc/self/mountinfo hides processes of other users,
// and those that this user may not trace: the option hidepid of proc(5).
func HidesProcesses(mountinfo string) (hides bool) {
	for line := range strings.Lines(mountinfo) {
		before, after, found := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !found || len(left) < 6 || len(right) < 3 || right[0] != "proc" || left[4] != "/proc" {
			continue
		}
		hides = false // a later mount covers those before it
		for option := range strings.SplitSeq(right[2], ",") {
			if value, found := strings.CutPrefix(option, "hidepid="); found {
				hides = value != "0" && value != "off"
			}
		}
	}
	return hides
}

// unescape undoes the octal escapes of mountinfo: "\040" is a space.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if v, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				out.WriteByte(byte(v))
				i += 3
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

// OwnCgroup finds the path of a process in the hierarchy of a v1 controller, or in v2 for
// the empty name, in the text of its /proc/PID/cgroup.
func OwnCgroup(cgroups, controller string) (string, bool) {
	for line := range strings.Lines(cgroups) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) != 3 {
			continue
		}
		if controller == "" {
			if parts[0] == "0" && parts[1] == "" {
				return parts[2], true
			}
			continue
		}
		for name := range strings.SplitSeq(parts[1], ",") {
			if name == controller {
				return parts[2], true
			}
		}
	}
	return "", false
}

// Dir returns the directory in which the cgroup with this path can be seen through the mount;
// ok is false when the mount does not show it.
func (m Mount) Dir(cgroup string) (dir string, ok bool) {
	if m.Root == "/" || m.Root == "" {
		return path.Join(m.Point, cgroup), true
	}
	rest, found := strings.CutPrefix(cgroup, m.Root)
	if !found || rest != "" && rest[0] != '/' {
		return "", false
	}
	return path.Join(m.Point, rest), true
}
