package process

import (
	"syscall"
	"testing"
)

// states counts the members by state: stopped, and all others. One that waits for a child to
// begin (vfork, state D) is as good as stopped when the child is: it is not counted.
func states(t *testing.T, g *Group) (stopped, others int) {
	t.Helper()
	for _, m := range members(t, g) {
		switch m.State {
		case "T":
			stopped++
		case "D":
		default:
			others++
		}
	}
	return stopped, others
}

// A suspended group does nothing, however fast it makes processes; what had stopped itself
// stays stopped when the rest goes on.
func TestSuspendAndResume(t *testing.T) {
	eachLevel(t, func(t *testing.T, g *Group) {
		p := start(t, g, "sh", "-c", `trap 'exit 7' CONT; sh -c 'kill -STOP $$; exec sleep 1000' & sh -c 'while :; do sh -c :; done' & setsid sleep 1000 & while :; do sleep 0.01; done`)
		await(t, "one process that has stopped itself, among others", func() bool {
			stopped, others := states(t, g)
			return stopped == 1 && others >= 2
		})
		for range 3 {
			if err := g.Suspend(); err != nil {
				t.Fatal(err)
			}
			await(t, "all members to be stopped", func() bool { _, others := states(t, g); return others == 0 })
			before := members(t, g)
			if err := g.Suspend(); err != nil { // again is harmless
				t.Fatal(err)
			}
			after := members(t, g)
			if len(before) != len(after) {
				t.Errorf("members %v and then %v", before, after)
			}
		}
		if err := g.Resume(); err != nil {
			t.Fatal(err)
		}
		await(t, "the command to end", func() bool {
			select {
			case <-p.Done():
				return true
			default:
				return false
			}
		})
		if e := p.Exit(); e.Code != 7 { // from its handler of SIGCONT
			t.Errorf("continued, it ended with %+v", e)
		}
		await(t, "the others to go on", func() bool {
			stopped, others := states(t, g)
			return stopped == 1 && others >= 1
		})
		if err := g.Resume(); err != nil {
			t.Error(err)
		}
		if err := g.Suspend(); err != nil {
			t.Error(err)
		}
		if err := g.Kill(); err != nil {
			t.Error(err)
		}
		await(t, "a kill to reach suspended processes", func() bool { return len(members(t, g)) == 0 })
		if err := g.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	})
}

// A member that another process of the job continues is stopped again.
func TestSuspendWhatTheJobContinues(t *testing.T) {
	eachLevel(t, func(t *testing.T, g *Group) {
		start(t, g, "sh", "-c", `sleep 1000 & s=$!; for i in 1 2 3; do (while kill -CONT $s; do :; done) & done; wait`)
		await(t, "all processes", func() bool { return len(members(t, g)) >= 5 })
		if err := g.Suspend(); err != nil {
			t.Fatal(err)
		}
		await(t, "all members to be stopped", func() bool { _, others := states(t, g); return others == 0 })
		if err := g.Kill(); err != nil {
			t.Error(err)
		}
		await(t, "a kill to reach suspended processes", func() bool { return len(members(t, g)) == 0 })
		if err := g.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	})
}

// A suspended process that a signal has woken is not continued a second time by Resume.
func TestSignalContinuesOnce(t *testing.T) {
	eachLevel(t, func(t *testing.T, g *Group) {
		start(t, g, "sleep", "1000")
		await(t, "the process", func() bool { return len(members(t, g)) == 1 })
		if err := g.Suspend(); err != nil {
			t.Fatal(err)
		}
		if len(g.suspended) != 1 {
			t.Fatalf("suspended are %v", g.suspended)
		}
		if err := g.Signal(syscall.SIGWINCH); err != nil {
			t.Fatal(err)
		}
		if len(g.suspended) != 0 {
			t.Errorf("Resume would continue %v again", g.suspended)
		}
		await(t, "it to go on", func() bool { stopped, _ := states(t, g); return stopped == 0 })
		if err := g.Resume(); err != nil {
			t.Error(err)
		}
		if err := g.Kill(); err != nil {
			t.Error(err)
		}
		empty(t, g)
	})
}
