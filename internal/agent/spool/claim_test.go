package spool

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stint.dev/stint/internal/agent/spool/owner"
)

// running returns the error that names the process that holds a run; the zero value for none.
func running(err error) owner.RunningError {
	var r *owner.RunningError
	if !errors.As(err, &r) {
		return owner.RunningError{}
	}
	return *r
}

func TestOneOfManyGetsAnAttempt(t *testing.T) {
	s := open(t)
	const agents = 8
	for range 20 {
		var all sync.WaitGroup
		var got, others atomic.Int32
		held := make(chan *Journal, agents)
		for range agents {
			all.Go(func() {
				m := meta
				m.PID = os.Getpid()
				j, err := s.Create(m, Limits{})
				switch {
				case err == nil:
					got.Add(1)
					held <- j
				case running(err) == owner.RunningError{Run: meta.Run, PID: os.Getpid()} && errors.Is(err, owner.ErrExists):
					others.Add(1)
				default:
					t.Errorf("unexpected: %v", err)
				}
			})
		}
		all.Wait()
		if got.Load() != 1 || others.Load() != agents-1 {
			t.Fatalf("%d got the attempt, %d were refused", got.Load(), others.Load())
		}
		if err := (<-held).Remove(); err != nil {
			t.Fatal(err)
		}
	}
	if left, _ := os.ReadDir(s.Dir()); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// What waits belongs to nobody, and a journal that is being delivered is not a run that goes on.
func TestCreateWhatWaits(t *testing.T) {
	s := open(t)
	m := meta
	m.PID = 1<<22 + 1 // more than any process has
	j, err := s.Create(m, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	identify(t, j)
	if _, err := s.Create(m, Limits{}); (running(err) != owner.RunningError{Run: meta.Run}) {
		t.Errorf("while it is held: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(m, Limits{}); !errors.Is(err, owner.ErrExists) || running(err).Run != "" {
		t.Errorf("while it waits: %v", err)
	}
}

func TestClaim(t *testing.T) {
	s := open(t)
	if err := s.Claimed("r", meta.Host); err != nil {
		t.Errorf("no process has it: %v", err)
	}
	c, err := s.Claim("r", meta.Host)
	if err != nil {
		t.Fatal(err)
	}
	want := owner.RunningError{Run: "r", PID: os.Getpid()}
	if err := s.Claimed("r", meta.Host); running(err) != want {
		t.Errorf("checked: %v", err)
	}
	if _, err := s.Claim("r", meta.Host); running(err) != want {
		t.Errorf("claimed again: %v", err)
	}
	if s.HasOthers("r", 1) {
		t.Error("the run's own claim is taken for a journal that waits")
	}
	s.Sweep(time.Now().Add(2*staleAfter), meta.Host)
	if err := s.Claimed("r", meta.Host); running(err) != want {
		t.Errorf("after a sweep: %v", err)
	}
	if err := c.Release(); err != nil {
		t.Error(err)
	}
	// What an agent that died left belongs to nobody.
	if err := os.WriteFile(filepath.Join(s.Dir(), owner.ClaimPrefix+"r"), []byte(`{"pid":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Claimed("r", meta.Host); err != nil {
		t.Errorf("left by the dead: %v", err)
	}
	s.Sweep(time.Now(), meta.Host)
	if !s.HasOthers("another", 1) {
		t.Error("swept too early")
	}
	s.Sweep(time.Now().Add(2*staleAfter), meta.Host)
	if s.HasOthers("another", 1) {
		t.Error("not swept")
	}
}

// Locks need not reach from one host to another: what an agent of another host holds is neither
// swept nor taken for a process of this one.
func TestClaimOfAnotherHost(t *testing.T) {
	s := open(t)
	here, there := owner.Host{Name: "here", BootID: "1"}, owner.Host{Name: "there", BootID: "2"}
	path := filepath.Join(s.Dir(), owner.ClaimPrefix+"r")
	if err := os.WriteFile(path, []byte(`{"pid":1,"host":{"name":"there","boot_id":"2"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(2 * staleAfter)
	s.Sweep(later, here)
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the claim of another host was swept: %v", err)
	}
	s.Sweep(later, there)
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the claim of this host was not swept: %v", err)
	}
	c, err := s.Claim("r", there)
	if err != nil {
		t.Fatal(err)
	}
	want := owner.RunningError{Run: "r", PID: os.Getpid(), Host: "there"}
	if err := s.Claimed("r", here); running(err) != want || !strings.Contains(err.Error(), "is running on host there, pid ") {
		t.Errorf("seen from another host: %v", err)
	}
	if err := c.Release(); err != nil {
		t.Error(err)
	}
	m := meta
	m.Host, m.PID = there, 1
	j, err := s.Create(m, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	m.Host = here
	if _, err := s.Create(m, Limits{}); (running(err) != owner.RunningError{Run: meta.Run, PID: 1, Host: "there"}) {
		t.Errorf("the same attempt on another host: %v", err)
	}
	if err := j.Remove(); err != nil {
		t.Error(err)
	}
}

func TestOneOfManyClaims(t *testing.T) {
	s := open(t)
	var all sync.WaitGroup
	var holders atomic.Int32
	for range 8 {
		all.Go(func() {
			for range 200 {
				c, err := s.Claim("r", meta.Host)
				if err != nil {
					if running(err).Run != "r" {
						t.Errorf("unexpected: %v", err)
					}
					continue
				}
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d hold it", n)
				}
				holders.Add(-1)
				if err := c.Release(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}
