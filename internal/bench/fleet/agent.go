package fleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// How the agents of the benchmark deliver: as the real one does (internal/agent/delivery/batch.go).
const (
	liveBeat     = 10 * time.Second
	liveSample   = 5 * time.Second
	liveLine     = time.Second
	livePace     = 3 * time.Second // between two appends of a run that nobody watches, growing
	livePaceMost = 5 * time.Second
	liveWithBeat = 1500 * time.Millisecond // an append goes with a heartbeat when the last is so old
	liveWatched  = 150 * time.Millisecond  // between two appends of a run that somebody watches
	liveAgain    = 200 * time.Millisecond  // the first pause after a refusal, doubled with each more
	liveAgainMax = 30 * time.Second
)

// Agent is one simulated agent.
type Agent struct {
	ID     string // of its run
	Number int
	Delay  time.Duration // before it begins
	// Every is how often its job prints, 0 for each second, and Lines how many lines each time; 0 for
	// one.
	Every time.Duration
	Lines int
}

// liveAgent is an agent at work: what its job printed and was not yet sent, and when what
// is due. As the real one, it has one connection as long as it has little to send.
type liveAgent struct {
	*Fleet
	Agent

	calls    *Wire
	offset   int64
	pending  []byte
	lines    int
	sequence int
	watched  bool

	line, sample, beat, send time.Time // when each is due
	sent                     time.Time
	waiting                  time.Duration // of the last wait for small output
	tries                    int
}

// live is the life of an agent: a line each second, a sample, a heartbeat, and appends at
// the pace that the server's answers ask for. What is printed while nobody watches needs no
// waking up: it is made when it is sent.
func (a *liveAgent) live() {
	if a.Pause(a.Delay) != nil {
		return
	}
	if a.Every == 0 {
		a.Every = liveLine
	}
	defer func() { a.calls.Close() }()
	err := a.start()
	for err == nil {
		next := slices.MinFunc([]time.Time{a.beat, a.send}, time.Time.Compare)
		if err = a.Pause(time.Until(next)); err != nil {
			return // reported already
		}
		now := time.Now()
		if !now.Before(a.beat) {
			if err = a.doBeat(now); err == nil && now.Sub(a.sent) >= liveWithBeat {
				a.send = now
			}
		}
		if err == nil && !now.Before(a.send) {
			err = a.doSend(now)
		}
	}
	a.fail(fmt.Errorf("agent %d: %w", a.Number, err))
}

func (a *liveAgent) path() string { return "/api/v1/runs/" + a.ID + "/attempts/1" }

// start brings the beginning of the run to the server, however long that takes.
func (a *liveAgent) start() (err error) {
	if a.calls, err = Dial(a.host); err != nil {
		return err
	}
	a.pending = Beginning(a.ID, a.Number, time.Now(), 5*time.Second)
	for a.offset == 0 {
		if err := a.append(); err != nil {
			return err
		}
		if wait := time.Until(a.send); a.offset == 0 && wait > 0 {
			if err := a.Pause(wait); err != nil {
				return err
			}
		}
	}
	now := time.Now()
	a.begun.Add(1)
	a.line, a.sample = now.Add(rand.N(a.Every)), now.Add(rand.N(liveSample))
	a.beat, a.send = now, a.line.Add(a.wait())
	return nil
}

// wait is how long small output waits for more (internal/agent/delivery/batch.go).
func (a *liveAgent) wait() time.Duration {
	if a.watched {
		a.waiting = 0
		return liveWatched
	}
	a.waiting = min(max(livePace, a.waiting+a.waiting/8), livePaceMost)
	return a.waiting
}

// catchUp makes what the job printed and what was measured since the last time.
func (a *liveAgent) catchUp(now time.Time) error {
	for ; !a.line.After(now); a.line = a.line.Add(a.Every) {
		for range max(a.Agent.Lines, 1) {
			a.lines++
			text := fmt.Appendf(nil, "at %d step %d loss 0.%04d of the training, batch of sixty four\n", a.line.UnixNano(), a.lines, a.Number%10000)
			a.pending = journal.AppendRecord(a.pending, journal.OutputRecord(a.line, journal.Output{Stream: job.Stdout, Data: text}))
		}
	}
	for ; !a.sample.After(now); a.sample = a.sample.Add(liveSample) {
		rec, err := journal.JSONRecord(journal.TypeSample, a.sample, job.Sample{
			At: a.sample.UTC(), CPUSeconds: float64(a.offset) / 100, CPUCores: 0.98, MemoryBytes: 512 << 20, Processes: 3, Threads: 12, ReadBytes: a.offset, WriteBytes: a.offset,
		})
		if err != nil {
			return err
		}
		a.pending = journal.AppendRecord(a.pending, rec)
	}
	return nil
}

// doSend delivers what there is and decides when to look again: some time after the next
// line.
func (a *liveAgent) doSend(now time.Time) error {
	if err := a.catchUp(now); err != nil {
		return err
	}
	tries := a.tries
	if err := a.append(); err != nil || a.tries > tries {
		return err // or put off
	}
	a.sent = time.Now()
	a.send = a.line.Add(a.wait())
	return nil
}

func (a *liveAgent) doBeat(now time.Time) error {
	a.sequence++
	a.beats.Add(1)
	a.beat = now.Add(liveBeat)
	answer, err := a.calls.Post(a.path()+"/heartbeat", "application/json", Heartbeat(a.sequence, liveBeat))
	var no *refusal
	if errors.As(err, &no) && no.busy() {
		a.beat = now.Add(max(no.after, time.Second))
		return nil
	}
	if err != nil {
		return err
	}
	var reply job.HeartbeatReply
	if err := json.Unmarshal(answer, &reply); err != nil {
		return err
	}
	if reply.NextMS > 0 {
		a.beat = now.Add(time.Duration(reply.NextMS) * time.Millisecond)
	}
	if reply.Watched && !a.watched { // a reader has just begun to follow the log
		a.watched, a.send = true, now
	}
	return nil
}

// append sends what is pending. One that the server puts off is due again later, as it asks
// for.
func (a *liveAgent) append() error {
	if len(a.pending) == 0 {
		return nil
	}
	a.appends.Add(1)
	answer, err := a.calls.Post(a.path()+"/journal?offset="+strconv.FormatInt(a.offset, 10), "application/octet-stream", a.pending)
	var no *refusal
	if errors.As(err, &no) && no.busy() {
		a.refused.Add(1)
		again := min(liveAgain<<min(a.tries, 10), liveAgainMax)
		a.tries++
		a.send = time.Now().Add(max(no.after, again/2+rand.N(again)))
		return nil
	}
	if err != nil {
		return err
	}
	a.tries = 0
	var reply job.AppendReply
	if err := json.Unmarshal(answer, &reply); err != nil {
		return err
	}
	if a.offset += int64(len(a.pending)); reply.Size != a.offset {
		return fmt.Errorf("the server has %d bytes of %d: %w", reply.Size, a.offset, errIncomplete)
	}
	a.pending, a.watched = a.pending[:0], reply.Watched
	return nil
}
