package e2e

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/faulttest/machine"
)

// systemdPrograms are what systemd needs in the machine, and what the test asks it with.
var systemdPrograms = []string{
	"/usr/lib/systemd/systemd", "/usr/lib/systemd/systemd-journald", "/usr/bin/systemctl", "/usr/bin/journalctl",
	"/usr/bin/systemd-sysusers", "/usr/bin/setpriv", "/usr/bin/install",
}

// systemdUnits are the units of systemd itself that ours are ordered by.
var systemdUnits = []string{"*.target", "*.slice", "systemd-journald*"}

// readFiles adds files of the host to those of the machine, each under its own path without
// links: where /lib leads is the machine's business.
func readFiles(t *testing.T, files map[string]machine.File, paths ...string) {
	t.Helper()
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, merged := range []string{"/bin/", "/sbin/", "/lib/", "/lib64/"} {
			if strings.HasPrefix(path, merged) {
				path = "/usr" + path
			}
		}
		files[strings.TrimPrefix(path, "/")] = machine.File{Mode: machine.Regular | uint32(info.Mode().Perm()), Data: string(data)}
	}
}

var library = regexp.MustCompile(`(?m)(?:=> )?(/\S+) \(0x`)

// systemdImage writes a file system with systemd as the host has it, a checkout in /src with
// the built programs, two certificates, and the script that is run.
func systemdImage(t *testing.T, m machine.Machine) string {
	t.Helper()
	files := map[string]machine.File{
		"etc/passwd":        machine.Text("root:x:0:0::/root:/bin/sh\nbackup:x:34:34::/home/backup:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"),
		"etc/group":         machine.Text("root:x:0:\nbackup:x:34:\nnogroup:x:65534:\n"),
		"etc/shadow":        {Mode: machine.Regular | 0o600},
		"etc/nsswitch.conf": machine.Text("passwd: files\ngroup: files\n"),
		"etc/machine-id":    machine.Text("0123456789abcdef0123456789abcdef\n"),
		"etc/os-release":    machine.Text("ID=debian\nNAME=test\n"),
		"etc/hosts":         machine.Text("127.0.0.1 localhost\n"),
		"home/backup/.keep": {Mode: machine.Regular | 0o644},
		"home/backup":       {Mode: machine.Directory | 0o777},
		"tmp":               {Mode: machine.Directory | 0o1777},
		"usr/bin/sh":        {Mode: machine.Link | 0o777, Data: "busybox"},
	}
	for _, dir := range []string{"proc", "sys", "dev", "run", "root", "var/lib", "var/log", "usr/local/bin", "usr/local/sbin", "usr/lib64", "usr/sbin", "etc/sysusers.d"} {
		files[dir] = machine.File{Mode: machine.Directory | 0o755}
	}
	for _, dir := range []string{"bin", "sbin", "lib", "lib64"} {
		files[dir] = machine.File{Mode: machine.Link | 0o777, Data: "usr/" + dir}
	}
	var libraries []string
	for _, program := range systemdPrograms {
		out, err := exec.Command("ldd", program).CombinedOutput()
		if err != nil {
			t.Fatalf("ldd %s: %v\n%s", program, err, out)
		}
		for _, found := range library.FindAllStringSubmatch(string(out), -1) {
			libraries = append(libraries, found[1])
		}
	}
	readFiles(t, files, systemdPrograms...)
	readFiles(t, files, libraries...)
	for _, pattern := range systemdUnits {
		units, err := filepath.Glob("/usr/lib/systemd/system/" + pattern)
		if err != nil || len(units) == 0 {
			t.Fatalf("systemd's own units %s: %v, %v", pattern, units, err)
		}
		for _, unit := range units {
			if info, err := os.Stat(unit); err == nil && info.Mode().IsRegular() {
				readFiles(t, files, unit)
			}
		}
	}
	maps.Copy(files, checkout(t, m, "units.sh"))
	return writeImage(t, files)
}

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

func writeImage(t *testing.T, files map[string]machine.File) string {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	if err := machine.WriteImage(image, files); err != nil {
		t.Fatal(err)
	}
	return image
}

// checkout is what the test brings: programs, units, certificates and the script.
func checkout(t *testing.T, m machine.Machine, script string) map[string]machine.File {
	t.Helper()
	files := map[string]machine.File{
		"etc/systemd/system/default.target":                               {Mode: machine.Link | 0o777, Data: "/usr/lib/systemd/system/multi-user.target"},
		"etc/systemd/system/check.service":                                machine.Text("[Service]\nType=oneshot\nExecStart=/src/units.sh\nTimeoutStartSec=infinity\n[Unit]\nAfter=multi-user.target\n"),
		"etc/systemd/system/sockets.target.wants/systemd-journald.socket": {Mode: machine.Link | 0o777, Data: "/usr/lib/systemd/system/systemd-journald.socket"},
		"etc/systemd/system/multi-user.target.wants/check.service":        {Mode: machine.Link | 0o777, Data: "/etc/systemd/system/check.service"},
	}
	dir := t.TempDir()
	brought := map[string]string{"usr/bin/busybox": m.Busybox, "src/bin/stint": stint, "src/bin/stint-agent": stintAgent, "src/units.sh": "testdata/" + script, "src/checks.sh": "testdata/checks.sh"}
	for _, name := range []string{"one", "two"} {
		cert, key := certificate(t, dir, name)
		brought["src/"+name+".pem"], brought["src/"+name+"-key.pem"] = cert, key
	}
	for _, module := range m.Modules {
		brought["src/modules/"+filepath.Base(module)] = module
	}
	units, err := filepath.Glob(units + "/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, unit := range units {
		brought["src/deploy/systemd/"+filepath.Base(unit)] = unit
	}
	for name, path := range brought {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if files[name] = machine.Text(string(data)); strings.HasPrefix(name, "usr/bin/") || strings.HasPrefix(name, "src/bin/") || strings.HasSuffix(name, ".sh") {
			files[name] = machine.Program(data)
		}
	}
	return files
}

// The units do under a real systemd what their comments say. The script names each check.
func TestUnitsUnderSystemd(t *testing.T) {
	m := findMachine(t, "units")
	if _, err := os.Stat(systemdPrograms[0]); err != nil {
		t.Fatalf("the units cannot be started: %v", err)
	}
	bootSystemd(t, m, systemdImage(t, m), 1024)
}

// findMachine skips the test unless a make target asks for it.
func findMachine(t *testing.T, target string) machine.Machine {
	t.Helper()
	if os.Getenv("STINT_TEST_UNITS") != target {
		t.Skipf("the units are not started: that takes minutes (make %s)", target)
	}
	m, err := machine.Find()
	if err != nil {
		t.Fatalf("the units cannot be started: %v", err)
	}
	return m
}

// bootSystemd starts systemd with the files in an image, and returns what the script there printed.
func bootSystemd(t *testing.T, m machine.Machine, image string, memoryMB int) (console string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	out, err := m.Boot(ctx, image, "/usr/lib/systemd/systemd", memoryMB)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if strings.Contains(out, "FAILED: ") || !strings.Contains(out, "--- all checks were made") {
		t.Errorf("the machine printed:\n%s", out)
	}
	t.Logf("%d checks", strings.Count(out, "\nok: "))
	return out
}
