package stop

import (
	"context"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"stint.dev/stint/internal/agent/process/member"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeGroup is a job that does what the test wants.
type fakeGroup struct {
	sent    []syscall.Signal
	kills   int
	denied  error
	members []member.Member
}

func (g *fakeGroup) Signal(sig syscall.Signal) error {
	g.sent = append(g.sent, sig)
	return g.denied
}

func (g *fakeGroup) Kill() error {
	g.kills++
	return g.denied
}

func (g *fakeGroup) Members() ([]member.Member, error) { return g.members, nil }
func (g *fakeGroup) Empty(context.Context) error       { return nil }

// texts are what a stop has noted and printed.
type texts struct{ notes, printed []string }

func newStop(g *fakeGroup, sig syscall.Signal) (*Stop, *texts) {
	var out texts
	return New(Config{
		Group: g, Signal: sig, Grace: 10 * time.Second, Began: func(job.StopCause) {},
		Processes: func(n journal.Note) { out.notes = append(out.notes, n.Text) },
		Note:      func(text string) { out.notes = append(out.notes, text) },
		Print:     func(text string) { out.printed = append(out.printed, text) },
	}), &out
}

// A job that does not die gets the signal, after the grace the kill, the kill again, and is
// abandoned in the end.
func TestGraceKillAbandon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &fakeGroup{members: []member.Member{{PID: 7, Name: "sh"}}}
		s, out := newStop(g, 0)
		begun := time.Now()
		s.BeginFinal(job.StopCause{Reason: job.ByCancel}, syscall.SIGINT)
		s.Begin(job.StopCause{Reason: job.Superseded}) // the first cause counts
		if !slices.Equal(g.sent, []syscall.Signal{syscall.SIGINT}) || s.Cause().Reason != job.ByCancel || !s.Final() {
			t.Fatalf("sent %v, cause %+v, final %v", g.sent, s.Cause(), s.Final())
		}
		for i, want := range []time.Duration{10 * time.Second, 15 * time.Second, 20 * time.Second} {
			<-s.GraceOver()
			if took := time.Since(begun); took != want || s.Abandoned() {
				t.Errorf("kill %d is due after %s, want %s; abandoned %v", i+1, took, want, s.Abandoned())
			}
			s.Kill()
		}
		if requested, sent := s.Signals(); g.kills != 2 || requested != syscall.SIGINT || sent != syscall.SIGKILL {
			t.Errorf("%d kills, requested by %v, sent %v", g.kills, requested, sent)
		}
		const what = "sh pid 7 did not die of SIGKILL"
		if !s.Abandoned() || s.Unstopped() != what || s.UnstoppedOf(7) != what {
			t.Errorf("abandoned %v, unstopped %q", s.Abandoned(), s.Unstopped())
		}
		if text := []string{"the job could not be stopped: " + what}; !slices.Equal(out.notes, text) || !slices.Equal(out.printed, text) {
			t.Errorf("noted %q, printed %q", out.notes, out.printed)
		}
	})
}

// The grace can be made shorter, and not longer.
func TestShorten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newStop(&fakeGroup{}, 0)
		begun := time.Now()
		s.Begin(job.StopCause{Reason: job.AgentStopped})
		s.Shorten(time.Minute)
		s.Shorten(time.Second)
		s.Shorten(5 * time.Second)
		<-s.GraceOver()
		if took := time.Since(begun); took != time.Second {
			t.Errorf("the grace took %s", took)
		}
		s.EndGrace()
	})
}

// What is left over is asked to end, unless it was asked in that way, or killed, already.
func TestAskLeftOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, tc := range map[string]struct {
			signal syscall.Signal // --stop-signal
			before func(*Stop)
			want   []syscall.Signal
		}{
			"no stop":                    {0, func(*Stop) {}, []syscall.Signal{syscall.SIGTERM}},
			"no stop, and a stop signal": {syscall.SIGUSR1, func(*Stop) {}, []syscall.Signal{syscall.SIGTERM}},
			"a stop":                     {0, func(s *Stop) { s.Begin(job.StopCause{}) }, []syscall.Signal{syscall.SIGTERM}},
			"a stop by SIGINT":           {0, func(s *Stop) { s.BeginFinal(job.StopCause{}, syscall.SIGINT) }, []syscall.Signal{syscall.SIGINT, syscall.SIGTERM}},
			"a stop by a stop signal":    {syscall.SIGUSR1, func(s *Stop) { s.Begin(job.StopCause{}) }, []syscall.Signal{syscall.SIGUSR1}},
			"killed":                     {0, func(s *Stop) { s.BeginFinal(job.StopCause{}, syscall.SIGINT); s.Kill() }, []syscall.Signal{syscall.SIGINT}},
		} {
			g := &fakeGroup{}
			s, _ := newStop(g, tc.signal)
			tc.before(s)
			s.AskLeftOver()
			s.EndGrace()
			if !slices.Equal(g.sent, tc.want) {
				t.Errorf("%s: sent %v, want %v", name, g.sent, tc.want)
			}
		}
	})
}

// Processes of another user are named once, with what to do, and count for their own step only.
func TestProcessesThatMayNotBeSignalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &fakeGroup{denied: &member.DeniedError{Processes: []member.Denied{{PID: 7, Name: "sudo", Owner: "root"}}}}
		s, out := newStop(g, 0)
		s.Begin(job.StopCause{Reason: job.AgentStopped})
		for !s.Abandoned() {
			<-s.GraceOver()
			s.Kill()
		}
		if len(out.printed) != 1 || !strings.HasSuffix(out.printed[0], "; stop it with: sudo kill 7") {
			t.Errorf("printed %q", out.printed)
		}
		if len(out.notes) != 1 || !strings.Contains(out.notes[0], "the kill did not reach every process: sudo (pid 7) runs as root") {
			t.Errorf("noted %q", out.notes)
		}
		if text := s.UnstoppedOf(7); !s.Final() || text == "" || text != s.Unstopped() {
			t.Errorf("final %v, unstopped %q and %q", s.Final(), s.Unstopped(), text)
		}
	})
}
