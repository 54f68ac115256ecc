package jobname_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"stint.dev/stint/internal/jobname"
	"stint.dev/stint/job"
)

// words are the arguments of a command; | separates those that hold blanks.
func words(command string) []string {
	if strings.Contains(command, "|") {
		return strings.Split(command, "|")
	}
	return strings.Fields(command)
}

func TestOf(t *testing.T) {
	for command, want := range map[string]string{
		// A program is its base name.
		"/usr/bin/pg_dump -Fc db": "pg_dump",
		"./train.sh":              "train.sh",
		"backup.py --all":         "backup.py",
		"make -C x":               "make",
		"pythonista x.py":         "pythonista",
		"shred x":                 "shred",

		// An interpreter is the file that it runs.
		"python train.py":                        "train",
		"python3 /srv/etl/load.py --full x.csv":  "load",
		"/usr/bin/python3.11 -u train.py":        "train",
		"python -W ignore x.py":                  "x",
		"python -Wignore -X dev -B x.py":         "x",
		"python -uBX dev x.py":                   "x",
		"python --check-hash-based-pycs never x": "x",
		"python -- -odd-.py":                     "-odd-",
		"python train.v2.py":                     "train.v2",
		"python /srv/app/":                       "app",
		"python .env.py":                         ".env",
		"python .hidden":                         ".hidden",
		"python gone":                            "gone",
		"node --require x y.js":                  "y",
		"node --require=x y.js":                  "y",
		"node -r x --enable-source-maps y.mjs a": "y",
		"nodejs y.js":                            "y",
		"node22 y.js":                            "y",
		"ruby -Ilib -r json -w task.rb":          "task",
		"ruby -I lib -C /srv task.rb":            "task",
		"perl -I lib x.pl":                       "x",
		"perl -Ilib -MList::Util=sum -w x.pl":    "x",
		"perl -d:Trace x.pl":                     "x",
		"perl -i.bak -CSDA x.pl":                 "x",
		"php -d memory_limit=1G import.php":      "import",
		"php -f import.php":                      "import",
		"php8.2 artisan schedule:run":            "artisan",
		"Rscript --vanilla report.R 2026":        "report",
		"bash -o pipefail x.sh":                  "x",
		"bash -euo pipefail x.sh":                "x",
		"bash -eu +o posix -O extglob x.sh":      "x",
		"bash --rcfile f --login x.sh":           "x",
		"sh -e /etc/cron.d/rotate":               "rotate",
		"dash x.sh":                              "x",
		"zsh -f x.zsh":                           "x",
		"ksh93 x.ksh":                            "x",
		"java -Xmx1g -cp a -jar x.jar":           "x",
		"java -jar -Xmx1g /opt/x-1.2.jar --jar":  "x-1.2",
		"/opt/jdk/bin/java -jar x.jar y.jar":     "x",

		// A module.
		"python -m a.b":           "a.b",
		"python3 -um http.server": "http.server",
		"python -mpytest -q":      "pytest",
		"python -W error -m a x":  "a",

		// An interpreter that runs no file is itself.
		"sh|-c|exit 3":                "sh",
		"bash|-lc|a b":                "bash",
		"/bin/bash -ec x":             "bash",
		"bash -s a":                   "bash",
		"sh":                          "sh",
		"python3 -":                   "python3",
		"python|-c|import x|x.py":     "python",
		"python -m":                   "python",
		"python --":                   "python",
		"python .":                    "python",
		"python3.11 -V":               "python3.11",
		"perl|-ne|print|x.txt":        "perl",
		"perl|-lane|print|x.txt":      "perl",
		"perl|-Mstrict|-e|1":          "perl",
		"ruby|-e|puts 1":              "ruby",
		"node -e 1 x.js":              "node",
		"node --eval=1 x.js":          "node",
		"node --run build":            "node",
		"php -r 1 x.php":              "php",
		"php -S localhost:80 x.php":   "php",
		"Rscript -e 1":                "Rscript",
		"java -cp a com.acme.Load":    "java",
		"java -cp a com.acme.L -jar":  "java",
		"java -m a/b -jar x.jar":      "java",
		"java -version":               "java",
		"java -jar":                   "java",
		"java @args -jar @more x.jar": "x",

		// What only runs another program is passed over.
		"/usr/bin/env python x.py":                     "x",
		"env -i A=1 PATH=/x python3 -u x.py":           "x",
		"env -u HOME backup":                           "backup",
		"nice -n 10 ionice -c3 python x.py":            "x",
		"timeout -k 5 2h bash -eu x.sh":                "x",
		"flock -n /run/lock/x backup --full":           "backup",
		"flock|/run/lock/x|-c|cd / && backup":          "flock",
		"nohup setsid stdbuf -oL java -jar x.jar":      "x",
		"sudo -u app /opt/app/bin/sync":                "sync",
		"env":                                          "env",
		"env A=1":                                      "env",
		"nice -n 5":                                    "nice",
		"timeout 5":                                    "timeout",
		"systemd-cat -t x chrt -b 0 python -m a.b --c": "a.b",

		// Characters that names refuse.
		"python|my script.py":  "my script",
		"python|a#b\x07c.py":   "a-b-c",
		`python|c:\x\train.py`: "c:-x-train",
		"sh| .sh":              ".sh",
		"sh|a .sh":             "a",
		"python|-m|a#b":        "a-b",
		"python|" + strings.Repeat("é", 150) + ".py": strings.Repeat("é", 100),
	} {
		if got := jobname.Of(words(command)); got != want {
			t.Errorf("%q: got %q, want %q", command, got, want)
		}
	}
	if got := jobname.Of(nil); got != "job" {
		t.Errorf("nothing: got %q", got)
	}
}

func TestValid(t *testing.T) {
	for text, want := range map[string]string{
		"/usr/bin/python3": "python3", "./train.sh": "train.sh", "": "job", "/": "-", "..": "job", " ": "job",
		"a#b": "a-b", `c:\x`: "c:-x", "a\x07b": "a-b", strings.Repeat("é", 150): strings.Repeat("é", 100),
		strings.Repeat("x", job.MaxNameBytes-1) + " y": strings.Repeat("x", job.MaxNameBytes-1),
	} {
		if got := jobname.Valid(text); got != want {
			t.Errorf("Valid(%q) = %q, want %q", text, got, want)
		}
	}
}

// Every command has a name that a job may have.
func TestNamesAreValid(t *testing.T) {
	known := rapid.SampledFrom(strings.Fields("python3 node perl java bash env nice flock php -m -c -o -jar -- - + -- --require x.py = A=1 -e"))
	word := rapid.OneOf(known, rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }))
	rapid.Check(t, func(t *rapid.T) {
		args := rapid.SliceOfN(word, 0, 6).Draw(t, "args")
		for _, name := range []string{jobname.Of(args), jobname.Before(args)} {
			if err := job.CheckName(name); err != nil {
				t.Fatalf("%q is not valid: %v", args, err)
			}
		}
	})
}
