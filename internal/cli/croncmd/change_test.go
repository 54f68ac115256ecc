package croncmd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// shell makes a stint-sh that is /bin/sh.
func (h *testHost) shell() string {
	h.t.Helper()
	h.write("usr/stint-sh", "#!/bin/sh\nexec /bin/sh \"$@\"\n")
	return filepath.Join(h.dir, "usr/stint-sh")
}

// copies returns the crontabs that were kept.
func (h *testHost) copies() (all []string) {
	h.t.Helper()
	names, err := filepath.Glob(filepath.Join(h.dir, "state/crontabs/*"))
	if err != nil {
		h.t.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			h.t.Fatal(err)
		}
		all = append(all, string(text))
	}
	return all
}

func TestAdoptAndReleaseACrontab(t *testing.T) {
	h := newTestHost(t)
	shell := h.shell()
	const text = "# mine\r\nMAILTO=me\n\n0 3 * * *\tbackup%x\n"
	h.write("spool/me", text)
	if stdout, _, err := h.run("adopt", "--shell", shell, "--dry-run"); err != nil || !strings.Contains(stdout, "\n+SHELL="+shell+"\n 0 3 * * *") || h.read("spool/me") != text {
		t.Fatalf("%s, %v, %q", stdout, err, h.read("spool/me"))
	}
	if _, _, err := h.run("adopt", "--shell", shell); err == nil || !strings.Contains(err.Error(), "--yes") || h.read("spool/me") != text {
		t.Fatalf("without --yes: %v, %q", err, h.read("spool/me"))
	}
	stdout, stderr, err := h.run("adopt", "--shell", shell, "--yes")
	want := strings.Replace(text, "0 3", "SHELL="+shell+"\n0 3", 1)
	if err != nil || h.read("spool/me") != want || !strings.Contains(stdout, "+SHELL=") || !strings.Contains(stderr, "state/crontabs/") {
		t.Fatalf("%s, %s, %v, %q", stdout, stderr, err, h.read("spool/me"))
	}
	if _, stderr, err := h.run("adopt", "--shell", shell, "--yes"); err != nil || !strings.Contains(stderr, "has no job to adopt") {
		t.Errorf("a second time: %s, %v", stderr, err)
	}
	h.write("spool/me", want+"@daily new\n") // edited meanwhile
	if _, _, err := h.run("release", "--yes"); err != nil || h.read("spool/me") != text+"@daily new\n" {
		t.Errorf("released: %v, %q", err, h.read("spool/me"))
	}
	if _, stderr, err := h.run("release", "--yes"); err != nil || !strings.Contains(stderr, "has no line of stint cron adopt") {
		t.Errorf("a second time: %s, %v", stderr, err)
	}
	if copies := strings.Join(h.copies(), "|"); strings.Count(copies, "# mine") != 2 || !strings.Contains("|"+copies+"|", "|"+text+"|") {
		t.Errorf("copies: %q", copies)
	}
}

func TestAdoptAFile(t *testing.T) {
	h := newTestHost(t)
	shell := h.shell()
	for dir := h.dir; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err != nil || info.Mode()&1 == 0 {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	const text = "SHELL=/bin/bash\n17 * * * * root backup"
	h.write("etc/cron.d/a", text)
	file := filepath.Join(h.dir, "etc/cron.d/a")
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(h.dir, "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.run("adopt", "--shell", shell, "--yes", file); err != nil {
		t.Fatal(err)
	}
	if got := h.read("etc/cron.d/a"); got != "SHELL=/bin/bash\nSTINT_REAL_SHELL=/bin/bash\nSHELL="+shell+"\n17 * * * * root backup" {
		t.Errorf("%q", got)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, _, err := h.run("release", "--yes", link); err != nil || h.read("etc/cron.d/a") != text {
		t.Errorf("%v, %q", err, h.read("etc/cron.d/a"))
	}
	if entries, err := os.ReadDir(h.systemDir); err != nil || len(entries) != 1 {
		t.Errorf("files are left: %v, %v", entries, err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link was replaced: %v, %v", info, err)
	}
}

// Whatever cannot be done leaves the crontab as it was.
func TestCrontabsThatAreNotChanged(t *testing.T) {
	const text = "0 3 * * * backup\n"
	for name, c := range map[string]struct {
		prepare func(h *testHost)
		args    string
		says    string
	}{
		"crontab refuses":    {func(h *testHost) { h.write("spool/refuse", "") }, "adopt --yes --shell SHELL", "errors in crontab file"},
		"no copy":            {func(h *testHost) { h.write("state", "") }, "adopt --yes --shell SHELL", "keep a copy"},
		"a shell that fails": {func(h *testHost) { h.write("usr/stint-sh", "#!/bin/sh\nexit 1\n") }, "adopt --yes --shell SHELL", "cron would run no job"},
		"no shell":           {func(h *testHost) {}, "adopt --yes", "ln -s"},
		"another name":       {func(h *testHost) {}, "adopt --yes --shell /bin/sh", "stint-sh"},
		"no such shell":      {func(h *testHost) {}, "adopt --yes --shell /nowhere/stint-sh", "/nowhere/stint-sh"},
		"edited meanwhile": {func(h *testHost) {
			h.write("bin/crontab", strings.Replace(fakeCrontab, "exec cat \"$file\"", "cat \"$file\"; echo '# edited' >>\"$file\"; exit", 1))
		}, "adopt --yes --shell SHELL", "edited meanwhile"},
		"a user and a file": {func(h *testHost) {}, "adopt --yes --shell SHELL --user ada /etc/crontab", "choose one"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newTestHost(t)
			shell := h.shell()
			h.write("spool/me", text)
			c.prepare(h)
			_, _, err := h.run(strings.Fields(strings.ReplaceAll(c.args, "SHELL", shell))...)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q", err, c.says)
			}
			if got := strings.ReplaceAll(h.read("spool/me"), "# edited\n", ""); got != text {
				t.Errorf("%q", got)
			}
		})
	}
}

func TestCrontabOfAnotherUser(t *testing.T) {
	h := newTestHost(t)
	h.write("spool/ada", "SHELL=/gone/stint-sh\n0 3 * * * backup\n")
	if _, stderr, err := h.run("release", "--yes", "--user", "ada"); err != nil || h.read("spool/ada") != "0 3 * * * backup\n" || !strings.Contains(stderr, "the crontab of ada") {
		t.Errorf("%s, %v, %q", stderr, err, h.read("spool/ada"))
	}
	private := filepath.Join(h.dir, "private")
	h.write("private/stint-sh", "#!/bin/sh\nexec /bin/sh \"$@\"\n")
	if err := os.Chmod(private, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.run("adopt", "--yes", "--user", "ada", "--shell", private+"/stint-sh"); err == nil || !strings.Contains(err.Error(), "other users") {
		t.Errorf("%v", err)
	}
}
