package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/job"
)

// privateCron runs cron on crontabs of its own, in a mount namespace: $T has the crontabs. It adopts those of
// root and $T/cron.d/adopted, and releases them when stdin ends.
const privateCron = `set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 none /run
mount --bind "$T/pam" /etc/pam.d/cron
mount --bind "$T/empty" /etc/crontab
mount --bind "$T/cron.d" /etc/cron.d
chown root:crontab "$T/spool" && chmod 1730 "$T/spool"
mount --bind "$T/spool" /var/spool/cron/crontabs
mkdir "$T/sbin" "$T/real"
mount --bind /usr/sbin "$T/real"
for f in "$T"/real/*; do ln -s "$f" "$T/sbin/"; done
rm -f "$T/sbin/sendmail" && cp "$T/sendmail" "$T/sbin/sendmail"
mount --bind "$T/sbin" /usr/sbin
crontab "$T/own"
"$stint" cron adopt --yes --shell "$shell" >&2
"$stint" cron adopt --yes --shell "$shell" /etc/cron.d/adopted >&2
crontab -l >"$T/own.adopted"
cp /etc/cron.d/adopted "$T/system.adopted"
"$stint" cron list --json >"$T/list"
cron -f &
read -r line || :
kill $!
"$stint" cron release --yes >&2
"$stint" cron release --yes /etc/cron.d/adopted >&2
crontab -l >"$T/own.released"
cp /etc/cron.d/adopted "$T/system.released"`

const (
	// jobsOfRoot are lines of a system crontab.
	jobsOfRoot = "*\t* * * *  root  cd / && echo \"out $A $SHELL $0\"; echo err >&2; cat; [[ $SHELL = /bin/bash ]] && exit 3%line 1%line 2\n" +
		"* * * * * root date +\\%\\% | grep -c .; kill -9 $$\n" +
		"* * * * * root date +\\%Y >/dev/null; echo second\r\n"
	ownJobs = "@reboot printf booted\n* * * * *\tcat%of root\n\n"
)

// A real cron runs adopted crontabs: every run is recorded, and what cron mails is what it mails without.
func TestAdoptedCrontabsUnderCron(t *testing.T) {
	t.Parallel()
	_, err := exec.LookPath("cron")
	why := cannotUnshare()
	switch {
	case err != nil:
		why = "cron is not installed"
	case os.Getuid() != 0:
		t.Skip("only root can run cron")
	}
	if why != "" {
		if os.Getenv("CI") != "" { // it is there, and root may do it
			t.Fatal(why)
		}
		t.Skip(why)
	}
	s := startServer(t)
	h := newHost(t)
	dir := cronDirectory(t, s, h)
	shell := cronShell(t, stint)
	stop, ended := startCron(t, h, dir, shell)
	mails := awaitMail(t, dir, ended)
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"adopted", "plain"} {
		for subject, body := range map[string]string{
			`cd / && echo "out $A $SHELL $0"; echo err >&2; cat; [[ $SHELL = /bin/bash ]] && exit 3`: "out b  c /bin/bash /bin/bash\nerr\nline 1\nline 2\n",
			"date +%% | grep -c .; kill -9 $$": "1\n", "date +%Y >/dev/null; echo second\r": "second\r\n",
		} {
			if got, ok := mails[to+": "+subject]; got != body || !ok {
				t.Errorf("the mail to %s about %q is %q, want %q", to, subject, got, body)
			}
		}
	}
	if mails["root: printf booted"] != "booted" || mails["root: cat"] != "of root\n" {
		t.Errorf("mails of root's own crontab: %q", mails)
	}
	r := s.ended("echo#1")
	wantEnd(t, r, job.Failed, job.ExitCode, 3)
	if log := s.log(r.ID, ""); string(log) != "out b  c /bin/bash /bin/bash\nerr\nline 1\nline 2\n" {
		t.Errorf("the log is %q", log)
	}
	if r.Usage.PeakMemoryBytes == 0 {
		t.Errorf("usage %+v", r.Usage)
	}
	if r := s.ended("date#1"); r.Outcome.Reason != job.BySignal || r.Outcome.SignalNumber != 9 {
		t.Errorf("outcome %+v", r.Outcome)
	}
	for _, name := range []string{"date-2#1", "printf#1", "cat#1"} {
		wantEnd(t, s.ended(name), job.Succeeded, job.ExitCode, 0)
	}
	if r, known := s.find("uname#1"); known {
		t.Errorf("a crontab that was not adopted has a run: %+v", r)
	}
	checkCrontabs(t, dir, shell)
}

// cronDirectory makes the directory of privateCron.
func cronDirectory(t *testing.T, s *server, h *host) string {
	t.Helper()
	dir := t.TempDir()
	variables := "# of the system\nSHELL=/bin/bash\nSTINT_SERVER=" + s.url + "\nSTINT_STATE=" + h.state + "\n A = 'b  c'\n\n"
	own := "STINT_SERVER=" + s.url + "\nSTINT_STATE=" + h.state + "\n" + ownJobs
	for name, text := range map[string]string{
		"pam": "auth required pam_permit.so\naccount required pam_permit.so\nsession required pam_permit.so\n", "empty": "", "own": own,
		"cron.d/adopted": "MAILTO=adopted\n" + variables + jobsOfRoot,
		"cron.d/plain":   "MAILTO=plain\n" + variables + jobsOfRoot + "* * * * * root uname >/dev/null\n",
		"sendmail":       fmt.Sprintf("#!/bin/sh\nfor to; do :; done\ncat >%[1]s/mail/.$$ && mv %[1]s/mail/.$$ %[1]s/mail/$to.$$\n", dir),
		"mail/.keep":     "", "spool/.keep": "",
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "sendmail"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// startCron starts privateCron. stop asks it to end, and ended gets its error.
func startCron(t *testing.T, h *host, dir, shell string) (stop func(), ended <-chan error) {
	t.Helper()
	cmd := h.command("unshare", "-m", "sh", "-c", privateCron)
	cmd.Env = append(cmd.Env, "T="+dir, "stint="+stint, "shell="+shell)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr := &written{}
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	result := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, stderr)
		}
		result <- err
	}()
	stop = func() { _ = stdin.Close() } // it has ended, or ends
	t.Cleanup(stop)
	return stop, result
}

// cronSubject is what cron writes of a job into its mail.
var cronSubject = regexp.MustCompile(`(?m)^Subject: Cron <[^>]*> *(.*)$`)

// awaitMail waits until cron has mailed the output of every job, which takes a minute, and returns the
// bodies by recipient and command.
func awaitMail(t *testing.T, dir string, ended <-chan error) map[string]string {
	t.Helper()
	const jobs = 8
	mails := map[string]string{}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(2 * patience)
	for len(mails) < jobs {
		select {
		case err := <-ended:
			t.Fatalf("cron ended: %v", err)
		case <-deadline:
			t.Fatalf("after %s there are %d mails, want %d: %q", 2*patience, len(mails), jobs, mails)
		case <-tick.C:
		}
		files, err := filepath.Glob(filepath.Join(dir, "mail/[a-z]*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			to, _, _ := strings.Cut(filepath.Base(file), ".")
			head, body, _ := strings.Cut(string(text), "\n\n")
			if m := cronSubject.FindStringSubmatch(head); m != nil {
				mails[to+": "+m[1]] = body
			}
		}
	}
	return mails
}

// checkCrontabs checks the crontabs that privateCron left behind: adopted, and as they were.
func checkCrontabs(t *testing.T, dir, shell string) {
	t.Helper()
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	own, system := read("own"), strings.Replace(read("cron.d/plain"), "MAILTO=plain", "MAILTO=adopted", 1)
	system = strings.TrimSuffix(system, "* * * * * root uname >/dev/null\n")
	if got := read("own.released"); got != own {
		t.Errorf("root's crontab is %q, want %q", got, own)
	}
	if got := read("system.released"); got != system {
		t.Errorf("the system crontab is %q, want %q", got, system)
	}
	if got, want := read("own.adopted"), strings.Replace(own, "@reboot", "SHELL="+shell+"\n@reboot", 1); got != want {
		t.Errorf("root's crontab was adopted as %q, want %q", got, want)
	}
	want := strings.Replace(system, "*\t* *", "STINT_REAL_SHELL=/bin/bash\nSHELL="+shell+"\n*\t* *", 1)
	want = strings.Replace(want, "* * * * * root date +\\%Y", "STINT_CRON_JOB=date-2\n* * * * * root date +\\%Y", 1)
	if got := read("system.adopted"); got != want {
		t.Errorf("the system crontab was adopted as %q, want %q", got, want)
	}
	if list := read("list"); strings.Count(list, `"state": "adopted"`) != 5 || strings.Count(list, `"state": "not adopted"`) != 4 {
		t.Errorf("listed while adopted: %s", list)
	}
}
