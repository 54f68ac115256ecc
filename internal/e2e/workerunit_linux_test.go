package e2e

import (
	"archive/tar"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"stint.dev/stint/internal/faulttest/machine"
)

// debian makes a file system of a release of Debian with further packages, whose first process can be systemd.
func debian(t *testing.T, release, packages string) map[string]machine.File {
	t.Helper()
	archive := filepath.Join(t.TempDir(), "debian.tar")
	out, err := exec.CommandContext(t.Context(), "mmdebstrap", "--variant=minbase", "--include="+packages, release, archive).CombinedOutput()
	if err != nil {
		t.Fatalf("mmdebstrap (Debian package mmdebstrap): %v\n%s", err, out)
	}
	file, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	files := map[string]machine.File{}
	for r := tar.NewReader(file); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			files["etc/hostname"] = machine.Text("machine\n")
			files["etc/hosts"] = machine.Text("127.0.0.1 localhost machine\n")
			files["etc/machine-id"] = machine.Text("0123456789abcdef0123456789abcdef\n")
			files["etc/systemd/system/serial-getty@ttyS0.service"] = machine.File{Mode: machine.Link | 0o777, Data: "/dev/null"} // it would be waited for
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		name := strings.Trim(strings.TrimPrefix(h.Name, "./"), "/")
		mode := uint32(h.Mode & 0o7777)
		switch {
		case name == "", strings.HasPrefix(name, "usr/share/doc/"), strings.HasPrefix(name, "usr/share/locale/"), strings.HasPrefix(name, "dev/"):
		case h.Typeflag == tar.TypeDir:
			files[name] = machine.File{Mode: machine.Directory | mode}
		case h.Typeflag == tar.TypeSymlink:
			files[name] = machine.File{Mode: machine.Link | 0o777, Data: h.Linkname}
		case h.Typeflag == tar.TypeLink:
			files[name] = files[strings.TrimPrefix(h.Linkname, "./")]
		case h.Typeflag == tar.TypeReg:
			data, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			files[name] = machine.File{Mode: machine.Regular | mode, Data: string(data)}
		}
	}
}

// A worker is upgraded under ten running jobs, and one of them runs out of memory: the others go on, and end with
// their exit codes. The script names each check.
func TestWorkerUnitUnderSystemd(t *testing.T) {
	m := findMachine(t, "worker-unit")
	// The systemd of Debian 13 can put a service with delegated cgroups into one of them (DelegateSubgroup).
	files := debian(t, "trixie", "systemd,systemd-sysv,procps")
	maps.Copy(files, checkout(t, m, "worker.sh"))
	bootSystemd(t, m, writeImage(t, files), 2048)
}
