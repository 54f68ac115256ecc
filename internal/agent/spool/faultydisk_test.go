package spool

import (
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"stint.dev/stint/internal/agent/spool/disk"
	"stint.dev/stint/internal/agent/spool/segment"
)

// conditions are how a disk behaves. A test changes them while the disk is in use.
type conditions struct {
	effect sync.Mutex // held while a call has its effect
	mu     sync.Mutex
	err    error // of every call that writes
	dead   bool  // the process that calls is dead: nothing has an effect any more
	// volatile are the small files that a loss of power empties; used by calls only.
	volatile map[string]bool
	delays   *rand.Rand // of how long calls take; nil: no time
}

// call makes a call to the disk, which may take some time before its effect and after it.
func (c *conditions) call(effect func(err error) error) error {
	c.wait()
	c.mu.Lock()
	err, dead := c.err, c.dead
	c.mu.Unlock()
	if dead {
		return errDead
	}
	c.effect.Lock()
	err = effect(err)
	c.effect.Unlock()
	c.wait()
	return err
}

var errDead = errors.New("the process is dead")

// wait takes no time, less than it takes to call a disk stuck, or more than anybody waits for.
func (c *conditions) wait() {
	c.mu.Lock()
	var d time.Duration
	if c.delays != nil && !c.dead {
		switch n := c.delays.IntN(100); {
		case n < 20:
			d = time.Duration(c.delays.Int64N(int64(segment.StuckAfter / 2)))
		case n < 23:
			d = time.Duration(c.delays.Int64N(int64(placeLimit + time.Second)))
		}
	}
	c.mu.Unlock()
	if d > 0 {
		<-time.After(d)
	}
}

func (c *conditions) set(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

func (c *conditions) die() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead = true
}

// faulty is a real directory under conditions.
type faulty struct {
	disk.Local
	*conditions
}

type faultyFile struct {
	disk.File
	*conditions
}

// unless makes a call that fails as a whole.
func unless(call func() error) func(error) error {
	return func(err error) error {
		if err != nil {
			return err
		}
		return call()
	}
}

func (d faulty) Create(name string) (f disk.File, err error) {
	err = d.call(unless(func() (err error) {
		f, err = d.Local.Create(name)
		return err
	}))
	if f == nil {
		return nil, err
	}
	return faultyFile{f, d.conditions}, err
}

func (d faulty) Rename(from, to string) error {
	return d.call(unless(func() error { return d.Local.Rename(from, to) }))
}

func (d faulty) Remove(name string) error {
	return d.call(unless(func() error { return d.Local.Remove(name) }))
}

func (d faulty) Replace(name string, data []byte, durable bool) error {
	return d.call(unless(func() error {
		d.volatile[name] = !durable
		return d.Local.Replace(name, data, false) // the power is ours
	}))
}

func (d faulty) MakeDurable(name string) error {
	return d.call(unless(func() error {
		d.volatile[name] = false
		return nil
	}))
}

func (f faultyFile) Truncate(size int64) error {
	return f.call(unless(func() error { return f.File.Truncate(size) }))
}

func (f faultyFile) WriteAt(p []byte, at int64) (n int, err error) {
	err = f.call(func(err error) error {
		if err != nil {
			n, _ = f.File.WriteAt(p[:len(p)/2], at) // a part may have come through
			return err
		}
		n, err = f.File.WriteAt(p, at)
		return err
	})
	return n, err
}
