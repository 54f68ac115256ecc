package crontab

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseLine(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for _, c := range []struct {
		text   string
		system bool
		want   Line
	}{
		{"\n", false, Line{}},
		{"  \t # 0 3 * * * backup\n", false, Line{}},
		{"0 3 * * * backup\n", false, Line{Kind: Job, Schedule: "0 3 * * *", Command: "backup"}},
		{"\t0\t3 *\t* *  backup -a  b\n", false, Line{Kind: Job, Schedule: "0 3 * * *", Command: "backup -a  b"}},
		{"0 3 * * * backup\r\n", false, Line{Kind: Job, Schedule: "0 3 * * *", Command: "backup\r"}},
		{"0 3 * * * backup", false, Line{Kind: Job, Schedule: "0 3 * * *", Command: "backup"}},
		{"*/5,30-40/2 0-23 1 jan-MAR sun backup\n", false, Line{Kind: Job, Schedule: "*/5,30-40/2 0-23 1 jan-MAR sun", Command: "backup"}},
		{"-0 3 * * * backup\n", false, Line{Kind: Job, Schedule: "-0 3 * * *", Command: "backup"}},
		{"@daily backup\n", false, Line{Kind: Job, Schedule: "@daily", Command: "backup"}},
		{"@reboot  sleep 9; serve\n", false, Line{Kind: Job, Schedule: "@reboot", Command: "sleep 9; serve"}},
		{"0 3 * * * " + long + "\n", false, Line{Kind: Job, Schedule: "0 3 * * *", Command: long}},
		{"17 *\t* * *\troot\tcd / && run-parts --report /etc/cron.hourly\n", true, Line{Kind: Job, Schedule: "17 * * * *", User: "root", Command: "cd / && run-parts --report /etc/cron.hourly"}},
		{"@daily www-data backup\n", true, Line{Kind: Job, Schedule: "@daily", User: "www-data", Command: "backup"}},
		{"0 3 * * * root\n", true, Line{Schedule: "0 3 * * *", User: "root"}},
		{"0 3 * * *\n", false, Line{Schedule: "0 3 * * *"}},
		{"0 3 * *\n", false, Line{}},
		{"nonsense that is no schedule at all\n", false, Line{}},
		{"SHELL=/bin/bash\n", false, Line{Kind: Variable, Name: "SHELL", Value: "/bin/bash"}},
		{"SHELL=/bin/bash\r\n", false, Line{Kind: Variable, Name: "SHELL", Value: "/bin/bash"}},
		{" MAILTO = \"a@example.org\" \n", false, Line{Kind: Variable, Name: "MAILTO", Value: "a@example.org"}},
		{"MAILTO=\"\"\n", false, Line{Kind: Variable, Name: "MAILTO"}},
		{"'A B'='c # d'\n", false, Line{Kind: Variable, Name: "A B", Value: "c # d"}},
		{"PATH=/bin # not a comment \n", false, Line{Kind: Variable, Name: "PATH", Value: "/bin # not a comment"}},
		{"MAILTO=\n", false, Line{}},
		{"MAILTO=\"a\" b\n", false, Line{}},
		{"MAILTO=\"a\n", false, Line{}},
		{"0 3 * * * A=b backup\n", false, Line{Kind: Job, Schedule: "0 3 * * *", Command: "A=b backup"}},
	} {
		c.want.Text = c.text
		if got := parseLine(c.text, c.system); got != c.want {
			t.Errorf("%.60q: %+v, want %+v", c.text, got, c.want)
		}
	}
}

func TestScript(t *testing.T) {
	for command, want := range map[string]string{
		"date +\\%F":              "date +%F",
		"mail root%line 1%line 2": "mail root",
		"printf '\\n'":            "printf '\\n'",
		"a\\\\%b":                 "a\\%b",
		"":                        "",
	} {
		if got := (Line{Command: command}).Script(); got != want {
			t.Errorf("%q: %q, want %q", command, got, want)
		}
	}
}

func TestDescribe(t *testing.T) {
	for script, want := range map[string]string{
		"/usr/local/bin/backup.sh":                                                     "backup.sh",
		"backup >/dev/null 2>&1":                                                       "backup",
		"cd /srv/app && bin/report --all":                                              "report",
		"cd '/srv/my app'; ./run":                                                      "run",
		"A=1 B='x y' backup":                                                           "backup",
		"nice -n 19 ionice -c3 /opt/job":                                               "job",
		"cd /etl && nice python3 -u load.py --full":                                    "load",
		"flock /run/l -c 'bash -e /opt/sync.sh'":                                       "sync",
		"/bin/sh -c 'cd / && backup'":                                                  "sh",
		"java -Xmx1g -jar /opt/etl.jar":                                                "etl",
		"nice -19 job":                                                                 "job",
		"nice --adjustment=5 job":                                                      "job",
		"flock -n /run/lock/x backup --full":                                           "backup",
		"flock -w 10 /run/lock/x -c 'cd / && backup'":                                  "backup",
		"/usr/bin/flock --nonblock -- /run/lock backup":                                "backup",
		"timeout -k 5 2h env -u A B=c sudo -u www-data job x":                          "job",
		"[ -x /usr/bin/x ] && if [ ! -d /run ]; then /usr/lib/php/sessionclean; fi":    "sessionclean",
		"test -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.daily; }": "cron.daily",
		"test -e /run/systemd/system || SERVICE_MODE=1 /usr/lib/e2scrub_all_cron":      "e2scrub_all_cron",
		"command -v certbot >/dev/null && sleep $((RANDOM % 300)) && certbot -q renew": "certbot",
		"(cd /tmp; dump) | gzip >x":                                                    "dump",
		"\"/opt/my job/run it\" now":                                                   "run it",
		"STINT_JOB=nightly backup":                                                     "backup",
		"backup\r":                                                                     "backup",
		"":                                                                             "job",
		"cd /srv":                                                                      "cd",
		"/a/b#c":                                                                       "b-c",
		">/dev/null":                                                                   "job",
		"nice":                                                                         "nice",
		"'unclosed":                                                                    "unclosed",
	} {
		if got := Describe(script).Name; got != want {
			t.Errorf("%q: %q, want %q", script, got, want)
		}
	}
	for script, want := range map[string]bool{
		"stint run --job b -- backup":                         true,
		"nice /usr/local/bin/stint-agent run -- x":            true,
		"cd / && stint run -- x":                              true,
		"flock /l -c 'stint run -- x'":                        true,
		"STINT_SKIP=1 backup":                                 true,
		"STINT_SKIP=0 backup":                                 false,
		"stint flush":                                         true,
		"/opt/bin/stint server":                               true,
		"echo stint run":                                      false,
		"cd / && STINT_SKIP=1 backup":                         false,
		"STINT_SKIP=$X backup":                                false,
		"STINT_TIMEOUT=2h STINT_SKIP='1' STINT_JOB=b backup ": true,
	} {
		if got := Describe(script).Skip(); got != want {
			t.Errorf("%q: skip is %v, want %v", script, got, want)
		}
	}
	got := Describe(`STINT_JOB="night ly" PATH=/x STINT_TIMEOUT=2h backup STINT_QUIET=1`).Set
	if len(got) != 2 || got["STINT_JOB"] != "night ly" || got["STINT_TIMEOUT"] != "2h" {
		t.Errorf("set: %v", got)
	}
}

func TestEarlierName(t *testing.T) {
	for _, c := range []struct {
		args       []string
		name, want string
	}{
		{[]string{"/usr/bin/python3", "train.py"}, "train", "python3"},
		{[]string{"/usr/bin/python3", "train.py"}, "nightly", ""},
		{[]string{"/usr/bin/python3", "train.py"}, "python3", ""},
		{[]string{"nice", "backup"}, "backup", "nice"},
		{[]string{"backup"}, "backup", ""},
		{[]string{"sh", "-c", "exit 3"}, "sh", ""},
		{[]string{"/bin/sh", "-c", "cd /etl && nice python3 load.py"}, "load", "python3"},
		{[]string{"/bin/sh", "-c", "flock /l -c 'python3 load.py'"}, "load", "python3"},
		{[]string{"/bin/sh", "-c", "backup --all"}, "backup", ""},
		{nil, "backup", ""},
	} {
		if got := EarlierName(c.args, c.name); got != c.want {
			t.Errorf("%q as %s: got %q, want %q", c.args, c.name, got, c.want)
		}
	}
}

// texts draws crontabs of lines that mean something, in any order and with any line ends.
func texts() *rapid.Generator[string] {
	lines := []string{
		"", "# comment", "0 3 * * * backup", "0 4 * * * /opt/backup", "0 5 * * * backup --other", "@reboot serve", "@daily a%b\\%c",
		"SHELL=/bin/bash", "SHELL=\"/bin/z sh\"", "SHELL='/bin/it\"s'", "SHELL=", "MAILTO=root", "PATH=/bin", "STINT_JOB=x", "STINT_SKIP=1", "STINT_SKIP=0",
		"0 3 * * * STINT_JOB=backup-2 other", "0 3 * * * stint run -- x", "0 3 * * * root backup", "nonsense", "\t 0 3 * * *\tbackup ", "CRON_TZ=UTC",
		"0 3 * * * STINT_SKIP=1 x", "0 3 * * * backup-2",
	}
	own := []string{"SHELL=/usr/bin/stint-sh", "SHELL = \"/opt/stint-sh\"", "STINT_REAL_SHELL=/bin/bash", "STINT_CRON_JOB=backup-2", "STINT_CRON_JOB=\"\""}
	return rapid.Custom(func(t *rapid.T) string {
		from := lines
		if rapid.Bool().Draw(t, "adopted before") {
			from = append(append([]string{}, lines...), own...)
		}
		var b strings.Builder
		for range rapid.IntRange(0, 12).Draw(t, "lines") {
			b.WriteString(rapid.SampledFrom(from).Draw(t, "line"))
			b.WriteString(rapid.SampledFrom([]string{"\n", "\n", "\n", "\r\n", ""}).Draw(t, "end"))
		}
		return b.String()
	})
}

const shellPath = "/usr/local/bin/stint-sh"

// checkAdopt holds what is true of every crontab.
func checkAdopt(t interface{ Fatalf(string, ...any) }, text string, system bool) {
	table := Parse(text, system)
	if got := table.String(); got != text {
		t.Fatalf("%q is printed as %q", text, got)
	}
	released := table.Release()
	adopted := table.Adopt(shellPath)
	if got := Parse(adopted.String(), system).Release().String(); got != released.String() {
		t.Fatalf("%q adopted and released: %q, want %q", text, got, released)
	}
	again := Parse(adopted.String(), system).Adopt(shellPath)
	if again.String() != adopted.String() {
		t.Fatalf("%q adopted: %q, and again: %q", text, adopted, again)
	}
	if (Diff(table, adopted) == "") != (adopted.String() == text) {
		t.Fatalf("%q adopted: %q, difference %q", text, adopted, Diff(table, adopted))
	}
	before, after := table.Entries(), adopted.Entries()
	if len(before) != len(after) {
		t.Fatalf("%q has %d jobs, adopted %d", text, len(before), len(after))
	}
	jobs := map[string]string{}
	for i, e := range after {
		if before[i].Command != e.Command || before[i].Schedule != e.Schedule || before[i].User != e.User || before[i].Skipped != e.Skipped {
			t.Fatalf("%q: job %+v becomes %+v", text, before[i], e)
		}
		if e.Skipped == e.Adopted && !strings.ContainsAny(text, "'\"") { // of a shell that cannot be written
			t.Fatalf("%q adopted: %q is skipped: %v and adopted: %v", text, e.Command, e.Skipped, e.Adopted)
		}
		if script, named := jobs[e.Job]; named && e.Adopted && script != e.Script() && !strings.Contains(text, "STINT_") {
			t.Fatalf("%q adopted: %q and %q are both %q", text, script, e.Script(), e.Job)
		}
		jobs[e.Job] = e.Script()
	}
}

func TestAdoptThenReleaseProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		checkAdopt(t, texts().Draw(t, "crontab"), rapid.Bool().Draw(t, "system"))
	})
}

func FuzzAdopt(f *testing.F) {
	f.Add("SHELL=/bin/bash\r\n0 3 * * * backup\n@daily x", false)
	f.Add("# m h\n17 * * * * root cd / && run-parts --report /etc/cron.hourly\n", true)
	f.Add("STINT_REAL_SHELL='/bin/bash'\nSHELL=/x/stint-sh\n* * * * * a%b\n", false)
	f.Fuzz(func(t *testing.T, text string, system bool) {
		checkAdopt(t, text, system)
		for _, l := range Parse(text, system).Lines {
			Describe(l.Script())
		}
	})
}
