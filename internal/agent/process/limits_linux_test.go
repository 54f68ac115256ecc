package process

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"stint.dev/stint/internal/agent/process/contain"
	"stint.dev/stint/internal/agent/process/member"
	"stint.dev/stint/internal/agent/process/procfs"
)

func limited(t *testing.T, o Options) *Group {
	t.Helper()
	o.Run, o.Attempt = testRun(), 1
	g, err := Contain(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second) // t's own has ended
		defer cancel()
		if err := errors.Join(g.Kill(), g.Empty(ctx)); err != nil {
			t.Error(err)
		}
		if err := g.Close(); err != nil {
			t.Error(err)
		}
		nothingLeft(t, g.opts)
	})
	return g
}

func needsRight(t *testing.T, g *Group) {
	t.Helper()
	for _, n := range g.Notes() {
		if strings.Contains(n, "is not enforced") {
			if os.Getuid() == 0 && os.Getenv("STINT_TEST_NO_CGROUPS") == "" {
				t.Fatalf("as root: %s (set STINT_TEST_NO_CGROUPS=1 where root has no cgroups)", n)
			}
			t.Skipf("this user cannot set limits here: %s", n)
		}
	}
}

func TestOutOfMemoryIsProved(t *testing.T) {
	for _, level := range []string{contain.LevelCgroup2, contain.LevelCgroup1} {
		t.Run(level, func(t *testing.T) {
			const limit = 32 << 20
			g := limited(t, Options{MemoryLimitBytes: limit, AtMost: level})
			needsRight(t, g)
			if o := g.OOM(); o != nil {
				t.Errorf("before anything ran: %+v", o)
			}
			began := time.Now()
			p := start(t, g, "tail", "/dev/zero")
			e := p.Exit()
			if e.Signal != "SIGKILL" {
				t.Fatalf("ended as %+v", e)
			}
			o := g.OOM()
			if o == nil {
				t.Fatal("no proof")
			}
			if o.LimitBytes != limit || o.PeakBytes < limit*9/10 || o.PeakBytes > limit || o.Kills < 1 {
				t.Errorf("limit %d, peak %d, kills %d", o.LimitBytes, o.PeakBytes, o.Kills)
			}
			if o.Victim != "tail" || o.VictimPID != p.PID() {
				t.Errorf("victim %s (pid %d), not tail (pid %d)", o.Victim, o.VictimPID, p.PID())
			}
			if o.At.Before(began.Add(-2*time.Second)) || o.At.After(time.Now()) {
				t.Errorf("at %s, and the job began at %s", o.At, began)
			}
			if again := g.OOM(); again != nil {
				t.Errorf("reported twice: %+v", again)
			}
			// A heartbeat that is sent while the group is given back says the same.
			kills := g.OOMKills()
			empty(t, g)
			if err := g.Close(); err != nil {
				t.Error(err)
			}
			if later := g.OOMKills(); kills != o.Kills || later != kills {
				t.Errorf("%d kills while the group was there, %d later; the proof says %d", kills, later, o.Kills)
			}
		})
	}
}

func TestKillWithoutOutOfMemoryIsNone(t *testing.T) {
	eachLevel(t, func(t *testing.T, g *Group) {
		p := start(t, g, "sleep", "1000")
		if err := p.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		p.Exit()
		if o := g.OOM(); o != nil {
			t.Errorf("%+v", o)
		}
	})
}

func inBoth(a, b []member.Member) []member.Member {
	return slices.DeleteFunc(slices.Clone(b), func(m member.Member) bool {
		return !slices.ContainsFunc(a, func(o member.Member) bool { return o.PID == m.PID && o.StartedTicks == m.StartedTicks })
	})
}

func TestProcessLimitHoldsAForkBomb(t *testing.T) {
	for _, level := range []string{contain.LevelCgroup2, contain.LevelCgroup1} {
		t.Run(level, func(t *testing.T) {
			g := limited(t, Options{ProcessLimit: 20, AtMost: level})
			needsRight(t, g)
			dir := g.CgroupDir("pids")
			if dir == "" {
				dir = g.CgroupDir("cgroup2")
			}
			start(t, g, "sh", "-c", `b() { while :; do b & done; }; b`)
			most := 0
			var last []member.Member
			await(t, "the bomb to meet its limit", func() bool {
				// A list is no snapshot: it may name a process that has ended since and one
				// that took its place. Those in two lists in a row lived at the same time.
				now := members(t, g)
				most = max(most, len(inBoth(last, now)))
				last = now
				events, err := os.ReadFile(dir + "/pids.events")
				if err != nil {
					t.Fatal(err)
				}
				hit, _ := procfs.Value(events, "max")
				return hit > 0
			})
			if most > 20 {
				t.Errorf("%d processes", most)
			}
			if err := g.Kill(); err != nil {
				t.Fatal(err)
			}
			empty(t, g)
		})
	}
}

// The limit is so low that the loop is held back also on a machine where it gets little.
func TestCPULimitIsSet(t *testing.T) {
	const limit = 0.03
	for _, level := range []string{contain.LevelCgroup2, contain.LevelCgroup1} {
		t.Run(level, func(t *testing.T) {
			g := limited(t, Options{CPULimit: limit, AtMost: level})
			needsRight(t, g)
			dir := g.CgroupDir("cpu")
			if dir == "" {
				dir = g.CgroupDir("cgroup2")
			}
			began := time.Now()
			p := start(t, g, "sh", "-c", "while :; do :; done")
			await(t, "the loop to be held back", func() bool {
				stat, err := os.ReadFile(dir + "/cpu.stat")
				if err != nil {
					t.Fatal(err)
				}
				held, _ := procfs.Value(stat, "nr_throttled")
				return held >= 5
			})
			if err := g.Kill(); err != nil {
				t.Fatal(err)
			}
			if share := p.Exit().CPUSeconds / time.Since(began).Seconds(); share > 3*limit {
				t.Errorf("used %g cores under a limit of %g", share, limit)
			}
		})
	}
}

func TestLimitsWithoutRights(t *testing.T) {
	g := limited(t, Options{MemoryLimitBytes: 1 << 30, CPULimit: 1.5, ProcessLimit: 100, AtMost: contain.LevelProcessGroup})
	notes := strings.Join(g.Notes(), "\n")
	for _, want := range []string{"the memory limit of 1 GiB is not enforced", "the CPU limit of 1.5 cores is not enforced", "the limit of 100 processes is not enforced"} {
		if !strings.Contains(notes, want) {
			t.Errorf("notes lack %q:\n%s", want, notes)
		}
	}
	const together = "the memory limit of 1 GiB and the CPU limit of 1.5 cores and the limit of 100 processes are not enforced: cgroups are not used, because of --containment"
	if got := g.Unenforced(); got != together {
		t.Errorf("unenforced: %s", got)
	}
	if e := start(t, g, "true").Exit(); e.Code != 0 {
		t.Errorf("the job runs all the same, but ended as %+v", e)
	}
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	nan := 0.0
	nan /= nan
	for _, o := range []Options{
		{},
		{Run: "a/b"},
		{Run: "a\x00"},
		{Run: "a", Attempt: -1},
		{Run: "a", MemoryLimitBytes: -1},
		{Run: "a", CPULimit: -1},
		{Run: "a", CPULimit: nan},
		{Run: "a", ProcessLimit: -1},
	} {
		if g, err := Contain(o); err == nil {
			t.Errorf("%+v was taken", o)
			g.Close()
		}
	}
}
