package contain

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stint.dev/stint/internal/agent/process/procfs"
)

// The reason why a limit does not hold is that of the hierarchy that the host has.
func TestWhyAControllerIsLacking(t *testing.T) {
	own := t.TempDir()
	if err := os.WriteFile(filepath.Join(own, "cgroup.controllers"), []byte("memory pids\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	job := &leaf{dir: filepath.Join(own, "job")}
	v1 := procfs.Mount{Point: "/sys/fs/cgroup/memory", Controllers: []string{"memory"}}
	v2 := procfs.Mount{Point: "/sys/fs/cgroup", V2: true}
	for _, c := range []struct {
		name, controller string
		mounts           []procfs.Mount
		leaf             *leaf
		want             string
	}{
		{"nothing is mounted", "memory", nil, nil, "no cgroups are mounted here"},
		{"v2 alone, passed on to nobody", "memory", []procfs.Mount{v2}, job, own + " has processes of its own"},
		{"v2 alone, not offered", "cpu", []procfs.Mount{v2}, job, own + " does not have the controller cpu"},
		{"v2 beside v1, which has other reasons", "memory", []procfs.Mount{v1, v2}, job, ""},
		{"v2 alone, without a right", "memory", []procfs.Mount{v2}, nil, ""},
	} {
		err := hierarchies{mounts: c.mounts}.lacks(c.controller, c.leaf)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}
