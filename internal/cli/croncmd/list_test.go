package croncmd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/cli/clitest"
	"stint.dev/stint/internal/cli/command"
)

// fakeCrontab is a program crontab that keeps its files in $SPOOL.
const fakeCrontab = `#!/bin/sh
user=me
if [ "$1" = -u ]; then user=$2; shift 2; fi
file=$SPOOL/$user
if [ "$1" != -l ]; then
	if [ -e "$SPOOL/refuse" ]; then echo "errors in crontab file, can't install." >&2; exit 1; fi
	cat "$1" >"$file.new" && mv "$file.new" "$file"
	exit
fi
if [ -e "$file" ]; then exec cat "$file"; fi
echo "no crontab for $user" >&2
exit 1
`

// testHost is a host whose crontabs are in a directory of the test.
type testHost struct {
	host
	t   *testing.T
	dir string
}

func newTestHost(t *testing.T) *testHost {
	h := &testHost{t: t, dir: t.TempDir()}
	h.host = host{
		systemFile: filepath.Join(h.dir, "etc/crontab"), systemDir: filepath.Join(h.dir, "etc/cron.d"),
		env: []string{"PATH=" + h.dir + "/bin:" + os.Getenv("PATH"), "SPOOL=" + h.dir + "/spool"},
	}
	h.write("bin/crontab", fakeCrontab)
	h.write("spool/.keep", "")
	return h
}

func (h *testHost) write(name, text string) {
	h.t.Helper()
	file := filepath.Join(h.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
		h.t.Fatal(err)
	}
}

func (h *testHost) read(name string) string {
	h.t.Helper()
	text, err := os.ReadFile(filepath.Join(h.dir, name))
	if err != nil {
		h.t.Fatal(err)
	}
	return string(text)
}

// run runs a command of the host.
func (h *testHost) run(args ...string) (stdout, stderr string, err error) {
	h.t.Helper()
	c, printed := clitest.Console(h.t, func(name string) string {
		if name == "STINT_STATE" {
			return filepath.Join(h.dir, "state")
		}
		return ""
	})
	cmd := commands(&program{&command.Program{Console: c}, h.host})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(h.t.Context())
	stdout, stderr = printed()
	return stdout, stderr, err
}

func TestList(t *testing.T) {
	h := newTestHost(t)
	h.write("spool/me", "0 3 * * * backup\n@reboot serve\n0 4 * * * stint run -- x\n")
	h.write("etc/crontab", "SHELL=/usr/bin/stint-sh\n17 * * * * root cd / && run-parts --report /etc/cron.hourly\n")
	h.write("etc/cron.d/php", "09,39 * * * * www-data /usr/lib/php/sessionclean\n")
	h.write("etc/cron.d/php.dpkg-old", "0 0 * * * root never\n")
	h.write("own", "5 5 * * * mine\n")
	stdout, stderr, err := h.run("list")
	if err != nil || stderr != "" {
		t.Fatal(stderr, err)
	}
	for _, want := range []string{"0 3 * * *", "backup", "@reboot", "skipped", "adopted", "cron.hourly", "www-data", "not adopted", h.systemFile} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is not in\n%s", want, stdout)
		}
	}
	if strings.Contains(stdout, "never") {
		t.Errorf("a file that cron does not read is listed:\n%s", stdout)
	}
	if stdout, _, err := h.run("list", "--json", filepath.Join(h.dir, "own")); err != nil || !strings.Contains(stdout, `"job": "mine"`) || strings.Contains(stdout, "backup") {
		t.Errorf("%s, %v", stdout, err)
	}
	if _, _, err := h.run("list", "/nowhere"); err == nil {
		t.Error("a file that is not there is no error")
	}
	h.write("bin/crontab", "#!/bin/sh\necho 'you are not allowed' >&2\nexit 1\n")
	if stdout, stderr, err := h.run("list"); err != nil || !strings.Contains(stderr, "you are not allowed") || !strings.Contains(stdout, "cron.hourly") {
		t.Errorf("%s, %s, %v", stdout, stderr, err)
	}
	if _, _, err := h.run("list", "--user", "ada"); err == nil || !strings.Contains(err.Error(), "the crontab of ada") {
		t.Errorf("%v", err)
	}
}

func TestListOfNothing(t *testing.T) {
	h := newTestHost(t)
	if stdout, stderr, err := h.run("list"); stdout != "" || !strings.Contains(stderr, "no jobs") || err != nil {
		t.Errorf("%q, %q, %v", stdout, stderr, err)
	}
}

func TestNext(t *testing.T) {
	h := newTestHost(t)
	h.write("own", "CRON_TZ=Asia/Tokyo\n0 3 * * * a\n-0 4 * * * b\n@reboot c\n@daily d\n99 * * * * e\nCRON_TZ=Nowhere/At\n0 3 * * * f\n")
	s, err := h.file(filepath.Join(h.dir, "own"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	want := []string{"2026-11-29T18:00:00Z", "2026-11-29T19:00:00Z", "", "2026-11-29T15:00:00Z", "", ""}
	for i, l := range jobsOf([]source{s}, now) {
		got := ""
		if l.NextAt != nil {
			got = l.NextAt.UTC().Format(time.RFC3339)
		}
		if got != want[i] {
			t.Errorf("%s: %q, want %q", l.Command, got, want[i])
		}
	}
}
