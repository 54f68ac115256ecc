// Package signals owns the signals that the agent's process gets, from its start to its exit:
// which are taken (Take), what each asks for (Owner), how far a stop is (Stop), how the process
// suspends itself (SuspendSelf), and how it dies of a signal (Die).
//
// Stop requests go through these stages; others within a second of the first do not count:
//
//	running ─ Begin → stopping ─ Shorten → shortened ─ Kill → killed ─ Abandon → abandoned
//
// Once the job has ended, a request is GiveUp: the waits for delivery and readers end.
package signals

import (
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Event is one signal and what it asks for.
type Event struct {
	Action Action
	Signal syscall.Signal
}

// maxPending bounds events that were not taken yet. Stop requests do not count: there are
// only so many in the life of a process.
const maxPending = 64

// Owner turns signals into events. It never stops reading signals, so that none is lost
// while the goroutine that acts on the events is busy. The zero value is not usable; see New.
type Owner struct {
	in      <-chan os.Signal
	events  chan Event
	polls   chan chan Event
	giveUp  chan struct{}
	unread  chan struct{} // makes Run apply JobEnded to the events that were not taken
	quit    chan struct{}
	stopped chan struct{}
	pending []Event // used by the goroutine of Run only

	mu    sync.Mutex
	stop  Stop
	began syscall.Signal // of the first stop request
}

// New makes the owner of the signals that come from in. Run must be called.
func New(in <-chan os.Signal) *Owner {
	return &Owner{
		in: in, events: make(chan Event), polls: make(chan chan Event),
		giveUp: make(chan struct{}), unread: make(chan struct{}), quit: make(chan struct{}), stopped: make(chan struct{}),
	}
}

// Run reads signals until Close.
func (o *Owner) Run() {
	defer close(o.stopped)
	for {
		var out chan<- Event
		var first Event
		if len(o.pending) > 0 {
			out, first = o.events, o.pending[0]
		}
		select {
		case sig := <-o.in:
			o.receive(sig)
		case out <- first:
			o.pending = o.pending[1:]
		case reply := <-o.polls:
			o.answer(reply)
		case <-o.unread:
			o.giveUpUnread()
		case <-o.quit:
			return
		}
	}
}

// Close ends Run and waits for that.
func (o *Owner) Close() {
	close(o.quit)
	<-o.stopped
}

// Events is for the goroutine that supervises the job, and for the waits between attempts.
func (o *Owner) Events() <-chan Event { return o.events }

// Poll returns the oldest event; ok is false when no signal has come.
func (o *Owner) Poll() (e Event, ok bool) {
	reply := make(chan Event, 1)
	select {
	case o.polls <- reply:
	case <-o.stopped:
		return Event{}, false
	}
	e, ok = <-reply
	return e, ok
}

// answer replies to a Poll. It first reads the signals that wait in the channel.
func (o *Owner) answer(reply chan<- Event) {
	defer close(reply)
	for more := true; more; {
		select {
		case sig := <-o.in:
			o.receive(sig)
		default:
			more = false
		}
	}
	if len(o.pending) > 0 {
		reply <- o.pending[0]
		o.pending = o.pending[1:]
	}
}

// GiveUp is closed by a stop request that comes after the job's end: see JobEnded.
func (o *Owner) GiveUp() <-chan struct{} { return o.giveUp }

// JobEnded notes whether the job has ended, so that only waits follow. A stop request that came
// before, and was not acted on, ends these waits.
func (o *Owner) JobEnded(ended bool) {
	o.mu.Lock()
	o.stop.JobEnded(ended)
	o.mu.Unlock()
	if !ended {
		return
	}
	select {
	case o.unread <- struct{}{}:
	case <-o.stopped:
	}
}

// giveUpUnread ends the waits if a stop request is among the events that were not taken.
func (o *Owner) giveUpUnread() {
	isStop := func(e Event) bool { return e.Action >= Begin && e.Action <= Abandon }
	if !slices.ContainsFunc(o.pending, isStop) {
		return
	}
	o.pending = slices.DeleteFunc(o.pending, isStop)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stop.giveUp() == GiveUp {
		close(o.giveUp)
	}
}

// Requested returns the signal that asked for a stop first; 0 for none.
func (o *Owner) Requested() syscall.Signal {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.began
}

// receive turns a signal into an event.
func (o *Owner) receive(s os.Signal) {
	sig, ok := s.(syscall.Signal)
	action := actions[sig]
	if !ok || action == None {
		return
	}
	if action == Suspend && wasContinued() {
		return // its SIGCONT comes, or came, as an event
	}
	if action != Begin {
		if len(o.pending) < maxPending {
			o.pending = append(o.pending, Event{action, sig})
		}
		return
	}
	switch action = o.request(sig); action {
	case None:
	case GiveUp:
		close(o.giveUp)
	default:
		o.pending = append(o.pending, Event{action, sig})
	}
}

func (o *Owner) request(sig syscall.Signal) Action {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.began == 0 {
		o.began = sig
	}
	return o.stop.Request(time.Now())
}
