package overlap

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"stint.dev/stint/internal/agent/bounded"
	"stint.dev/stint/internal/agent/filelock"
)

const (
	// releaseLimit bounds the wait for a state directory that does not answer.
	releaseLimit = time.Second
	// notePeriod is how often a run checks for starts that were skipped because of it.
	notePeriod = 5 * time.Second
)

// Guard has the lock of a job for a run, over all its attempts. Its methods do nothing when it is nil.
type Guard struct {
	dir         directory
	key, run    string
	ticket      string
	file        *os.File // nil where the job runs without the lock, and when it was given back
	pending     []string // notes for the first attempt
	noted       int      // how many skipped starts are in the journal
	hangs       bool     // the state directory did not answer, and a goroutine waits for it
	holder      Holder   // what the ticket has
	number      atomic.Int64
	endFollower func() // nil while no attempt goes on

	mu   sync.Mutex
	note func(text string) // of the attempt that goes on; nil between two
}

// File returns the file whose lock is that of the job; nil if the job runs without it. A process that inherits the descriptor has
// the lock as long, unless Release gives it back.
func (g *Guard) File() *os.File {
	if g == nil {
		return nil
	}
	return g.file
}

// SetNumber takes the number that the server has given the run, for those who are skipped because of it. It
// does not wait for the disk.
func (g *Guard) SetNumber(n int64) {
	if g != nil {
		g.number.Store(n)
	}
}

// Follow begins to note in the journal of an attempt which starts are skipped because of the run, until
// Attempted is called.
func (g *Guard) Follow(note func(text string)) {
	if g == nil {
		return
	}
	g.mu.Lock()
	g.note = note
	g.mu.Unlock()
	for _, text := range g.pending {
		note(text)
	}
	g.pending = nil
	if g.file == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); g.follow(ctx) }()
	g.endFollower = func() { cancel(); <-done }
}

// follow notes skipped starts until ctx ends.
func (g *Guard) follow(ctx context.Context) {
	tick := time.NewTicker(notePeriod)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if n := g.number.Load(); n != g.holder.Number {
			g.holder.Number = n
			_ = g.dir.locked(func() error { writeHolder(g.file, g.holder); return nil }) // its id is there
		}
		if s := g.dir.readSkips(g.key); s.Run == g.run && noteIsDue(max(s.Noted, g.noted), s.Count, false) {
			_ = g.dir.locked(func() error { return g.noteSkips(false) }) // at the next tick, or at the end
		}
	}
}

// noteSkips notes the skipped starts that are not noted yet. The directory is locked, so that no start
// is skipped meanwhile.
func (g *Guard) noteSkips(ended bool) error {
	s := g.dir.readSkips(g.key)
	noted := max(s.Noted, g.noted)
	if s.Run != g.run || !noteIsDue(noted, s.Count, ended) || !g.say(s.text(noted)) {
		return nil
	}
	g.noted, s.Noted = s.Count, s.Count
	return g.dir.writeSkips(g.key, s)
}

// say notes a text in the journal of the attempt that goes on, and reports whether there is one.
func (g *Guard) say(text string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.note == nil {
		return false
	}
	g.note(text)
	return true
}

// Attempted notes which starts were skipped, before the journal of the attempt ends. It gives the lock back
// unless the run goes on with another attempt: the processes of the job are gone, and what follows
// is about its record.
func (g *Guard) Attempted(goesOn bool) {
	if g == nil {
		return
	}
	g.hangs = !bounded.Do(releaseLimit, func() {
		if g.endFollower != nil {
			g.endFollower()
			g.endFollower = nil
		}
		if g.file != nil {
			g.end(goesOn)
		}
	})
	g.mu.Lock()
	g.note = nil
	g.mu.Unlock()
}

// Release gives the lock back if the run has it still. Starts that were skipped since the last attempt
// ended are noted by the next run of the job that takes the lock.
func (g *Guard) Release() {
	if g != nil && !g.hangs && g.file != nil {
		bounded.Do(releaseLimit, func() { g.end(false) })
	}
}

// end notes the skipped starts and, unless the run goes on, releases the lock: a process that finds
// it taken is noted, and one that is not noted finds it free.
func (g *Guard) end(goesOn bool) {
	_ = g.dir.locked(func() error {
		err := g.noteSkips(true)
		if goesOn {
			return err
		}
		if n := g.number.Load(); n != g.holder.Number {
			g.holder.Number = n
			_ = g.dir.locked(func() error { writeHolder(g.file, g.holder); return nil }) // its id is there
		}
		if s := g.dir.readSkips(g.key); s.of(g.run).unnoted() == 0 {
			err = errors.Join(err, g.dir.removeSkips(g.key))
		}
		return errors.Join(err, os.Remove(g.dir.path(g.ticket)), g.unlock())
	}) // what cannot be removed is found to be of no living process
	if !goesOn {
		_ = g.unlock()
	}
}

// unlock gives the lock back, also where another process has the descriptor.
func (g *Guard) unlock() error {
	if g.file == nil {
		return nil
	}
	err := unlock(g.file)
	g.file = nil
	return err
}

func unlock(file *os.File) error {
	return errors.Join(filelock.Unlock(int(file.Fd())), file.Close())
}
