package crontab

import (
	"strings"
	"testing"
)

func TestAdopt(t *testing.T) {
	for name, c := range map[string]struct {
		system       bool
		before, want string
	}{
		"one job":       {false, "# mine\n0 3 * * * backup\n", "# mine\n>SHELL=" + shellPath + "\n0 3 * * * backup\n"},
		"no job":        {false, "# nothing\nMAILTO=root\n", "# nothing\nMAILTO=root\n"},
		"empty":         {false, "", ""},
		"no final line": {false, "0 3 * * * backup", ">SHELL=" + shellPath + "\n0 3 * * * backup"},
		"CRLF":          {false, "MAILTO=a\r\n0 3 * * * backup\r\n", "MAILTO=a\r\n>SHELL=" + shellPath + "\n0 3 * * * backup\r\n"},
		"another shell": {
			false, "SHELL=/bin/bash\n0 3 * * * backup\n0 4 * * * other\n",
			"SHELL=/bin/bash\n>STINT_REAL_SHELL=/bin/bash\n>SHELL=" + shellPath + "\n0 3 * * * backup\n0 4 * * * other\n",
		},
		"several shells": {
			false, "0 1 * * * a\nSHELL=/bin/bash\n0 2 * * * b\nSHELL=/bin/sh\n0 3 * * * c\n",
			">SHELL=" + shellPath + "\n0 1 * * * a\nSHELL=/bin/bash\n>STINT_REAL_SHELL=/bin/bash\n>SHELL=" + shellPath + "\n0 2 * * * b\n" +
				"SHELL=/bin/sh\n>STINT_REAL_SHELL=/bin/sh\n>SHELL=" + shellPath + "\n0 3 * * * c\n",
		},
		"a shell with a blank": {
			false, "SHELL = \"/opt/my sh \"\n@reboot a\n", "SHELL = \"/opt/my sh \"\n>STINT_REAL_SHELL=\"/opt/my sh \"\n>SHELL=" + shellPath + "\n@reboot a\n",
		},
		"equal names": {
			false, "0 1 * * * backup a\n0 2 * * * backup b\n0 3 * * * backup a\n0 4 * * * backup-2\n",
			">SHELL=" + shellPath + "\n0 1 * * * backup a\n>STINT_CRON_JOB=backup-2\n0 2 * * * backup b\n>STINT_CRON_JOB=\"\"\n0 3 * * * backup a\n" +
				">STINT_CRON_JOB=backup-2-2\n0 4 * * * backup-2\n",
		},
		"named":   {false, "0 1 * * * backup\n0 2 * * * STINT_JOB=b backup b\n", ">SHELL=" + shellPath + "\n0 1 * * * backup\n0 2 * * * STINT_JOB=b backup b\n"},
		"skipped": {false, "0 1 * * * stint run -- a\n0 2 * * * STINT_SKIP=1 b\n", "0 1 * * * stint run -- a\n0 2 * * * STINT_SKIP=1 b\n"},
		"system":  {true, "17 * * * * root backup\n", ">SHELL=" + shellPath + "\n17 * * * * root backup\n"},
		"percent": {false, "* * * * * cat%a\\%b%c\n", ">SHELL=" + shellPath + "\n* * * * * cat%a\\%b%c\n"},
	} {
		t.Run(name, func(t *testing.T) {
			before := Parse(c.before, c.system)
			after := before.Adopt(shellPath)
			if got, want := after.String(), strings.ReplaceAll(c.want, ">", ""); got != want {
				t.Errorf("adopted: %q, want %q", got, want)
			}
			checkAdopt(t, c.before, c.system)
			var added []string
			for _, line := range strings.Split(c.want, "\n") {
				if line, ok := strings.CutPrefix(line, ">"); ok {
					added = append(added, "+"+line)
				}
			}
			var shown []string
			for _, line := range strings.Split(Diff(before, after), "\n") {
				if strings.HasPrefix(line, "+") || strings.HasPrefix(line, "-") {
					shown = append(shown, line)
				}
			}
			if strings.Join(shown, "\n") != strings.Join(added, "\n") {
				t.Errorf("the difference shows %q, want %q", shown, added)
			}
		})
	}
}

// A person edits an adopted crontab: what is theirs stays, and jobs keep their names.
func TestEditedMeanwhile(t *testing.T) {
	adopted := Parse("MAILTO=root\n0 1 * * * backup a\n0 2 * * * backup b\n", false).Adopt(shellPath).String()
	edited := strings.Replace(adopted, "0 1 * * *", "30 1 * * *", 1) + "SHELL=/bin/bash\n0 4 * * * new\n"
	edited = strings.Replace(edited, "MAILTO=root\n", "MAILTO=root\n0 0 * * * backup c\n", 1)
	table := Parse(edited, false)
	if got, want := table.Release().String(), "MAILTO=root\n0 0 * * * backup c\n30 1 * * * backup a\n0 2 * * * backup b\nSHELL=/bin/bash\n0 4 * * * new\n"; got != want {
		t.Errorf("released: %q, want %q", got, want)
	}
	type entry struct {
		command, job string
		adopted      bool
	}
	check := func(table Table, want ...entry) {
		t.Helper()
		for i, e := range table.Entries() {
			if got := (entry{e.Command, e.Job, e.Adopted}); got != want[i] {
				t.Errorf("entry %d: %+v, want %+v", i, got, want[i])
			}
		}
	}
	check(table, entry{"backup c", "backup-3", false}, entry{"backup a", "backup", true}, entry{"backup b", "backup-2", true}, entry{"new", "new", false})
	check(table.Adopt(shellPath), entry{"backup c", "backup-3", true}, entry{"backup a", "backup", true}, entry{"backup b", "backup-2", true}, entry{"new", "new", true})
}

func TestDiff(t *testing.T) {
	text := "# 1\n# 2\n# 3\n# 4\n0 1 * * * a\n# 6\n# 7\n# 8\n# 9\n# 10\n# 11\n# 12\n# 13\nSHELL=/bin/sh\n0 2 * * * b"
	before := Parse(text, false)
	want := "@@ -2,6 +2,7 @@\n # 2\n # 3\n # 4\n+SHELL=" + shellPath + "\n 0 1 * * * a\n # 6\n # 7\n" +
		"@@ -12,4 +13,5 @@\n # 12\n # 13\n SHELL=/bin/sh\n+SHELL=" + shellPath + "\n 0 2 * * * b\n\\ No newline at end of file\n"
	if got := Diff(before, before.Adopt(shellPath)); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if got := Diff(before, before); got != "" {
		t.Errorf("no difference: %q", got)
	}
	if got := Diff(before.Adopt(shellPath), before.Adopt("/x/stint-sh")); !strings.Contains(got, "-SHELL="+shellPath+"\n+SHELL=/x/stint-sh\n") {
		t.Errorf("another path: %s", got)
	}
}
