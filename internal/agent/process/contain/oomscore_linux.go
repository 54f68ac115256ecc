package contain

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	scoreFile = "/proc/self/oom_score_adj"
	// scoreBelow is how far the agent lowers its own oom_score_adj below the caller's.
	scoreBelow = 500
	// minScore is the least that it takes: at -1000 the kernel could never kill it.
	minScore = -999
)

// oomScore is this process's oom_score_adj, by which the kernel ranks what it kills when
// memory runs out. A child inherits it, so the job's value is taken on for the length of a
// fork: it then holds from the child's first instruction.
var oomScore scoreAdj

type scoreAdj struct {
	mu     sync.Mutex // held from take to back, so that no other fork comes between
	users  int
	caller int  // what this process was started with
	known  bool // caller is known
	own    int  // what this process has while groups live
	file   *os.File
}

// OpenScore opens the file of this process's oom_score_adj before it may no longer do that by its
// name: see process.Protect.
func OpenScore() { oomScore.open() }

func (s *scoreAdj) open() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		s.file, _ = os.OpenFile(scoreFile, os.O_WRONLY, 0) // it is tried again where it is needed, and the error is reported there
	}
}

// lower makes the kernel prefer other processes to the agent, where the agent may do that
// (CAP_SYS_RESOURCE). Each call is undone by restore.
func (s *scoreAdj) lower() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users++; s.users > 1 {
		return
	}
	text, err := os.ReadFile(scoreFile)
	if err == nil {
		s.caller, err = strconv.Atoi(strings.TrimSpace(string(text)))
	}
	s.known, s.own = err == nil, s.caller
	if want := AgentScore(s.caller); s.known && want < s.caller && s.write(want) == nil {
		s.own = want
	}
}

// AgentScore returns the agent's oom_score_adj given the caller's.
func AgentScore(caller int) int { return min(caller, max(caller-scoreBelow, minScore)) }

// restore gives the process its caller's value back when the last user has left.
func (s *scoreAdj) restore() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users--; s.users == 0 && s.own != s.caller {
		_ = s.write(s.caller) // raising is always allowed
	}
}

// take gives the process the value of a child that is about to be made: want, or the
// caller's for nil. It must be followed by back, whatever the error, which says that the
// child does not get the value that was wanted.
func (s *scoreAdj) take(want *int) (back func(), err error) {
	s.mu.Lock()
	child := s.caller
	if want != nil {
		child = *want
	}
	if want == nil && (!s.known || s.own == s.caller) {
		return s.mu.Unlock, nil // a child inherits what it should have
	}
	err = s.write(child)
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		err = fmt.Errorf("the job's oom_score_adj is %d instead of %d: lowering it requires CAP_SYS_RESOURCE", s.caller, child)
	}
	if err != nil && child != s.caller {
		child = s.caller
		_ = s.write(child) // if that fails too, the child has the agent's, as the error reports
	}
	return func() {
		if child != s.own {
			_ = s.write(s.own) // not below what it had: allowed
		}
		s.mu.Unlock()
	}, err
}

// AsCaller gives the process its caller's value until back is called, for a child that is no
// part of a job.
func AsCaller() (back func()) {
	back, _ = oomScore.take(nil) // without it the child has the agent's
	return back
}

func (s *scoreAdj) write(n int) error {
	f := s.file
	if f == nil {
		var err error
		if f, err = os.OpenFile(scoreFile, os.O_WRONLY, 0); err != nil {
			return err
		}
		defer f.Close()
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(n)), 0)
	return err
}
