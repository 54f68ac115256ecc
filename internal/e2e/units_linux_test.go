package e2e

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const units = "../../deploy/systemd"

// unitRoot is a file system with the units where their comments say that they are installed.
func unitRoot(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skipf("units are not verified here: %v (scripts/setup installs systemd)", err)
	}
	root := t.TempDir()
	put := func(from, to string, mode os.FileMode) {
		data, err := os.ReadFile(from)
		if err == nil {
			err = os.MkdirAll(filepath.Join(root, filepath.Dir(to)), 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(root, to), data, mode)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, program := range []string{"/usr/local/bin/stint", "/usr/local/bin/stint-agent", "/bin/sh"} {
		put("/bin/true", program, 0o755) // verify asks only whether it can be executed
	}
	for _, pattern := range []string{"*.service", "*.timer"} {
		files, err := filepath.Glob(filepath.Join(units, pattern))
		if err != nil || len(files) < 2 {
			t.Fatalf("%s: %v, %v", pattern, files, err)
		}
		for _, file := range files {
			put(file, "/etc/systemd/system/"+filepath.Base(file), 0o644)
		}
	}
	for _, target := range []string{"network-online", "sysinit", "basic", "timers", "multi-user", "shutdown"} {
		put("/lib/systemd/system/"+target+".target", "/usr/lib/systemd/system/"+target+".target", 0o644)
	}
	put(filepath.Join(units, "sysusers.conf"), "/etc/sysusers.d/stint.conf", 0o644)
	return root
}

func TestUnits(t *testing.T) {
	root := unitRoot(t)
	for _, unit := range []string{"stint-server.service", "stint-worker.service", "stint-worker@backup.service", "stint-flush@backup.service", "stint-flush@backup.timer", "stint-job@backup.service", "stint-job@backup.timer"} {
		out, err := exec.Command("systemd-analyze", "--root="+root, "--man=no", "verify", unit).CombinedOutput()
		if err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", unit, err, out)
		}
	}
	// What a service may do on its host does not grow: tenths of systemd's measure of exposure. Jobs may do everything.
	for unit, most := range map[string]string{"stint-server.service": "20", "stint-flush@backup.service": "70"} {
		out, err := exec.Command("systemd-analyze", "--root="+root, "--offline=true", "--no-pager", "--threshold="+most, "security", unit).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", unit, err, out)
		}
	}
	// The server's user exists by its name, so that the key of a certificate can be given to it.
	if out, err := exec.Command("systemd-sysusers", "--root="+root).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	users, err := os.ReadFile(filepath.Join(root, "etc/passwd"))
	unit, uerr := os.ReadFile(filepath.Join(units, "stint-server.service"))
	if err != nil || uerr != nil {
		t.Fatal(err, uerr)
	}
	name := regexp.MustCompile(`(?m)^User=(\w+)$`).FindSubmatch(unit)
	if name == nil || !strings.HasPrefix(string(users), string(name[1])+":") {
		t.Errorf("the unit's user %q is not among those that sysusers makes:\n%s", name, users)
	}
}

// The unit that delivers runs whichever program is installed.
func TestFlushUnitRunsEitherProgram(t *testing.T) {
	unit, err := os.ReadFile(filepath.Join(units, "stint-flush@.service"))
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^ExecStart=/bin/sh -c '(.*)'$`).FindSubmatch(unit)
	if line == nil {
		t.Fatal("no ExecStart line")
	}
	script := strings.ReplaceAll(string(line[1]), "$$", "$") // as systemd reads it
	for _, program := range []string{stint, stintAgent, ""} {
		path := t.TempDir()
		if program != "" {
			if err := os.Symlink(program, filepath.Join(path, filepath.Base(program))); err != nil {
				t.Fatal(err)
			}
		}
		cmd := newHost(t).command("/bin/sh", "-c", script)
		cmd.Env = append(cmd.Env, "PATH="+path)
		r := finish(t, cmd)
		if want := program != ""; want != (r.code == 0) || !want && !strings.Contains(r.stderr, "neither") {
			t.Errorf("with %q: %+v", program, r)
		}
	}
}

// A service manager learns when the server answers, that it goes on working, and that it ends.
func TestServerNotifiesTheManager(t *testing.T) {
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	printed := func() string {
		if err := socket.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		message := make([]byte, 1000)
		n, err := socket.Read(message)
		if err != nil {
			t.Fatal(err)
		}
		return string(message[:n])
	}
	h := newHost(t)
	addr := freeAddress(t)
	cmd := h.command(stint, "server", "--listen", addr)
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+socket.LocalAddr().String(), "WATCHDOG_USEC=2000000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if got := printed(); got != "READY=1\nSTATUS=serving http://"+addr {
		t.Errorf("the server notified %q", got)
	}
	if r := h.run("health", "--server", "http://"+addr); r.code != 0 {
		t.Errorf("after READY=1: %+v", r)
	}
	for range 3 {
		if got := printed(); got != "WATCHDOG=1" {
			t.Errorf("the server notified %q", got)
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	got := printed()
	for got == "WATCHDOG=1" {
		got = printed()
	}
	if got != "STOPPING=1" {
		t.Errorf("the server notified %q", got)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
