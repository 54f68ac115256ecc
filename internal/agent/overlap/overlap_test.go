package overlap

import (
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/agent/spool/owner"
	"stint.dev/stint/job"
)

func TestModes(t *testing.T) {
	for _, text := range []string{"allow", "skip", "queue"} {
		if m, err := ParseMode(text); string(m) != text || err != nil {
			t.Errorf("%s: %q, %v", text, m, err)
		}
	}
	for _, text := range []string{"", "Skip", "skip ", "wait"} {
		if m, err := ParseMode(text); m != "" || err == nil || !strings.Contains(err.Error(), "allow, skip and queue") {
			t.Errorf("%q: %q, %v", text, m, err)
		}
	}
}

// Every job of every host has names of files of its own, whatever its name is.
func TestKeys(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{
		"nightly", "Nightly", "nightly ", "a b", "a_b", "a.b", "a.1", ".x", "-", "ü", "日本", "*", "a:b", "$(x)", "lock", "skips",
		strings.Repeat("n", job.MaxNameBytes), strings.Repeat("n", job.MaxNameBytes-1), strings.Repeat("ü", job.MaxNameBytes/2),
	} {
		for _, h := range []owner.Host{{Name: "a", BootID: "1"}, {Name: "a", BootID: "2"}, {Name: "a"}, {Name: "b"}, {}} {
			key := keyOf(name, h)
			id := name + "@" + h.Name + "@" + h.BootID
			if other, twice := seen[key]; twice {
				t.Errorf("%q has the key of %q: %s", id, other, key)
			}
			seen[key] = id
			if strings.ContainsAny(key, "./\x00 *$") || len(key) > 80 {
				t.Errorf("%q: the key is %q", id, key)
			}
			if k, n, ok := parseTicketName(ticketName(key, 12)); k != key || n != 12 || !ok {
				t.Errorf("%q: its ticket is read as %q, %d, %v", id, k, n, ok)
			}
		}
	}
	if keyOf("a", owner.Host{Name: "container-1", BootID: "1"}) != keyOf("a", owner.Host{Name: "container-2", BootID: "1"}) {
		t.Error("two containers of one kernel are two hosts")
	}
	if keyOf("a", owner.Host{Name: "MAC"}) != keyOf("a", owner.Host{Name: "mac"}) {
		t.Error("the name of a host counts with its case")
	}
	for _, name := range []string{"lock", "skips.new", "a-1.skips", "a-1.0", "a-1.01", "a-1.-1", "a-1.1.1", "a-1.", "a-1"} {
		if _, _, ok := parseTicketName(name); ok {
			t.Errorf("%q is taken for a ticket", name)
		}
	}
}

func TestWhenSkipsAreNoted(t *testing.T) {
	for _, c := range []struct {
		noted, count int
		ended, want  bool
	}{
		{0, 0, false, false},
		{0, 0, true, false},
		{0, 1, false, true},
		{1, 1, true, false},
		{1, 2, false, true},
		{2, 3, false, true},
		{3, 4, false, false},
		{3, 4, true, true},
		{3, 9, false, false},
		{3, 10, false, true},
		{10, 19, false, false},
		{10, 20, false, true},
		{20, 50, false, true},
		{50, 99, false, false},
		{50, 100, false, true},
		{60, 100, false, true},
		{100, 199, false, false},
		{12, 19, false, false},
		{12, 20, false, true},
	} {
		if got := noteIsDue(c.noted, c.count, c.ended); got != c.want {
			t.Errorf("%d noted of %d, ended %v: %v", c.noted, c.count, c.ended, got)
		}
	}
	notes, noted := 0, 0
	for count := 1; count <= 7*24*60; count++ {
		if noteIsDue(noted, count, false) {
			notes, noted = notes+1, count
		}
	}
	if notes != 13 {
		t.Errorf("a week of a start each minute has %d notes", notes)
	}
}

// However many starts are skipped, the file keeps the last few of them and counts the others.
func TestSkips(t *testing.T) {
	at := time.Date(2026, 11, 29, 3, 0, 0, 0, time.UTC)
	var s skips
	for i := range 1000 {
		s = s.add("run-1", start{at.Add(time.Duration(i) * time.Minute), 100 + i, "ana"})
	}
	if s.Count != 1000 || len(s.Last) != mostShown || s.Last[mostShown-1].PID != 1099 || s.unnoted() != 1000 {
		t.Fatalf("%+v", s)
	}
	const why = ", because this run has the lock of its job"
	one := skips{}.add("r", start{at, 7, "ana"})
	for _, c := range []struct {
		name  string
		s     skips
		noted int
		want  string
	}{
		{"the first", one, 0, "another start of the job was skipped at 2026-11-29 03:00:00 UTC (pid 7, user ana)" + why},
		{"the second", one.add("r", start{at.Add(time.Minute), 8, "ana"}), 1, "another start of the job was skipped at 2026-11-29 03:01:00 UTC (pid 8, user ana)" + why + "; 2 so far"},
		{"two at once", one.add("r", start{at.Add(time.Minute), 8, "ana"}), 0, "2 starts were skipped so far" + why + "; the last: 2026-11-29 03:00:00 UTC (pid 7, user ana), 2026-11-29 03:01:00 UTC (pid 8, user ana)"},
		{"more than are shown", s, 10, "1000 starts were skipped so far" + why + "; the last: 2026-11-29 19:35:00 UTC (pid 1095, user ana), 2026-11-29 19:36:00 UTC (pid 1096, user ana), 2026-11-29 19:37:00 UTC (pid 1097, user ana), 2026-11-29 19:38:00 UTC (pid 1098, user ana), 2026-11-29 19:39:00 UTC (pid 1099, user ana)"},
	} {
		if got := c.s.text(c.noted); got != c.want {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}

// What a run could not note any more is noted by the next one.
func TestSkipsOfAnEarlierRun(t *testing.T) {
	s := skips{}.add("run-1", start{}).add("run-1", start{}).add("run-1", start{})
	s.Noted = 1
	if text := s.of("run-1").earlierText(); text != "" {
		t.Errorf("of the run itself: %s", text)
	}
	next := s.of("run-2")
	if want := "before this run, 2 starts were skipped because run run-1 had the lock of the job, and not noted there"; next.earlierText() != want || next.unnoted() != 2 || next.Count != 0 {
		t.Errorf("%+v: %s", next, next.earlierText())
	}
	third := next.add("run-2", start{}).of("run-3")
	if third.Earlier != 3 || third.EarlierRun != "run-2" {
		t.Errorf("%+v", third)
	}
	s.Noted = 3
	if s = s.of("run-2"); s.unnoted() != 0 || s.earlierText() != "" {
		t.Errorf("all was noted: %+v", s)
	}
	if text := (skips{}).add("", start{}).of("run-2").earlierText(); text != "before this run, 1 start was skipped because run had the lock of the job, and not noted there" {
		t.Errorf("of a run whose ticket could not be read: %s", text)
	}
}

func TestTexts(t *testing.T) {
	at := time.Date(2026, 11, 29, 3, 0, 0, 0, time.Local)
	shown := at.Format("2006-01-02 15:04:05 -07:00")
	c := Config{Mode: Skip, Job: "backup"}
	runs := Holder{Run: "R1", PID: 12, Asked: at, Since: &at}
	waits := Holder{Run: "R2", PID: 13, Asked: at}
	for _, texts := range [][2]string{
		{c.skippedText(runs), "job backup was not started (--overlap skip): run R1 has been running since TIME (pid 12)"},
		{c.skippedText(waits), "job backup was not started (--overlap skip): run R2 has waited to start since TIME (pid 13)"},
		{c.skippedText(Holder{Job: "backup", Run: "R3", Number: 4, PID: 12, Since: &at}), "job backup was not started (--overlap skip): run R3 (backup#4) has been running since TIME (pid 12)"},
		{c.skippedText(Holder{}), "job backup was not started (--overlap skip): another run is going on"},
		{c.fullText(make([]Holder, mostWaiting+1)), "job backup was not started (--overlap queue): 100 starts of it wait already for another run, which is going on"},
		{c.fullText(append([]Holder{runs}, make([]Holder, mostWaiting)...)), "job backup was not started (--overlap queue): 100 starts of it wait already for run R1, which has been running since TIME (pid 12)"},
		{c.waitsText([]Holder{runs}), "job backup waits (--overlap queue): run R1 has been running since TIME (pid 12)"},
		{c.waitsText([]Holder{runs, waits}), "job backup waits (--overlap queue): run R1 has been running since TIME (pid 12), and another start waits before this one"},
		{c.waitsText([]Holder{runs, waits, waits}), "job backup waits (--overlap queue): run R1 has been running since TIME (pid 12), and 2 others wait before this one"},
	} {
		if want := strings.ReplaceAll(texts[1], "TIME", shown); texts[0] != want {
			t.Errorf("%s\nwant %s", texts[0], want)
		}
	}
}

func TestPausesBetweenChecks(t *testing.T) {
	for waited, want := range map[time.Duration]time.Duration{0: 10 * time.Millisecond, time.Second: 50 * time.Millisecond, 10 * time.Second: 500 * time.Millisecond, 24 * time.Hour: 500 * time.Millisecond} {
		if got := pollPause(waited); got != want {
			t.Errorf("after %s: %s", waited, got)
		}
	}
}
