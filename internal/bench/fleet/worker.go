package fleet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// claimWait is how long the server may hold a request for runs, as the real worker allows.
const claimWait = 20 * time.Second

// Worker is a simulated worker. Its requests for runs use one connection, as those of the real one do.
type Worker struct {
	host  string
	name  string
	slots int
	wire  *Wire
	wait  time.Duration // for which the server may hold its requests
	asked int
}

// NewWorker makes a worker of the server at a host and port. It takes runs only when it is asked to.
func NewWorker(host, name string, slots int) (*Worker, error) {
	wire, err := Dial(host)
	if err != nil {
		return nil, err
	}
	return &Worker{host: host, name: name, slots: slots, wire: wire, wait: claimWait}, nil
}

// Close ends the connection of the worker.
func (w *Worker) Close() { w.wire.Close() }

// Claim asks for up to free runs, and waits for the answer, which has none when the time is over.
func (w *Worker) Claim(free int) ([]job.Claim, error) {
	w.asked++
	body, err := json.Marshal(job.ClaimRequest{
		ClaimID: fmt.Sprintf("%s-%x-%d", w.name, rand.Uint64(), w.asked), WorkerID: "id of " + w.name, Host: "host of " + w.name, Version: "bench",
		Specs: []int{job.SpecVersion}, Slots: w.slots, Free: free, Commands: true, WaitMS: w.wait.Milliseconds(),
	})
	if err != nil {
		return nil, err
	}
	answer, err := w.wire.Post("/api/v1/workers/"+w.name+"/claims", "application/json", body)
	if err != nil {
		return nil, err
	}
	var reply job.ClaimReply
	err = json.Unmarshal(answer, &reply)
	return reply.Claims, err
}

// Attempt is the life of an agent whose job ends at once, on a connection of its own: the question for the
// permit, and the rest of the journal.
func (w *Worker) Attempt(c job.Claim) error {
	incarnation := fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64())
	identity, rest, err := w.journal(c, incarnation)
	if err != nil {
		return err
	}
	wire, err := Dial(w.host)
	if err != nil {
		return err
	}
	defer wire.Close()
	wire.Headers = job.HeaderClaim + ": " + c.Token + "\r\n" + job.HeaderIncarnation + ": " + incarnation + "\r\n"
	path := fmt.Sprintf("/api/v1/runs/%s/attempts/%d/journal?offset=", c.Run, c.Attempt)
	answer, err := wire.Post(path+"0", "application/octet-stream", identity)
	if err != nil {
		return err
	}
	var permit job.Permit
	if err := json.Unmarshal(answer, &permit); err != nil {
		return err
	}
	if permit.Answer != job.PermitGranted {
		return fmt.Errorf("the permit to start run %s was not granted (%s): %w", c.Run, permit.Why, errIncomplete)
	}
	wire.Headers, wire.Token = "", permit.AttemptToken
	_, err = wire.Post(path+fmt.Sprint(len(identity)), "application/octet-stream", rest)
	return err
}

// journal returns the identity of an attempt whose job ends at once, and what follows it.
func (w *Worker) journal(c job.Claim, incarnation string) (identity, rest []byte, err error) {
	var b bytes.Buffer
	out, err := journal.NewWriter(&b)
	if err != nil {
		return nil, nil, err
	}
	at := time.Now()
	err = out.AppendJSON(journal.TypeAttempt, at, journal.Attempt{
		Run: c.Run, Attempt: c.Attempt, Job: c.Job, Args: c.Spec.Args, Host: "host of " + w.name, AgentVersion: "bench", HeartbeatPeriodMS: 5000,
		Definition: c.Definition, Parameters: c.Parameters, Worker: w.name, Incarnation: incarnation,
	})
	size := b.Len()
	outcome := job.Classify(job.Ending{Step: "command", Kind: job.CommandStep})
	err = errors.Join(
		err,
		out.AppendJSON(journal.TypeStepStarted, at, journal.StepStarted{Name: "command", Kind: job.CommandStep, Command: job.CommandLine(c.Spec.Args), PID: 1}),
		out.AppendJSON(journal.TypeSample, at, job.Sample{At: at.UTC(), CPUSeconds: 0.01, MemoryBytes: 1 << 20, Processes: 1, Threads: 1}),
		out.AppendJSON(journal.TypeStepEnded, at, journal.StepEnded{Outcome: outcome}),
		out.Finish(at, journal.Final{Outcome: outcome, Usage: job.Usage{CPUSeconds: 0.01, PeakMemoryBytes: 1 << 20}}),
	)
	return b.Bytes()[:size], b.Bytes()[size:], err
}

// Start has workers start and end n runs, at most perSecond each second, or as fast as they can for 0. It
// returns how long that took.
func Start(workers []*Worker, n int, perSecond float64) (time.Duration, error) {
	s := &starts{begun: time.Now(), rate: perSecond}
	s.left.Store(int64(n))
	failed := make(chan error, len(workers))
	for _, w := range workers {
		go func() { failed <- w.work(s) }()
	}
	var err error
	for range workers {
		err = errors.Join(err, <-failed)
	}
	return time.Since(s.begun), err
}

// starts are runs that several workers start.
type starts struct {
	begun time.Time
	rate  float64
	taken atomic.Int64 // so far
	left  atomic.Int64 // that no worker asks for yet
}

// reserve returns how many runs a worker may ask for, of those that it has room for.
func (s *starts) reserve(free int) int {
	for {
		left := s.left.Load()
		n := min(left, int64(free))
		if s.rate > 0 {
			n = min(n, int64(s.rate*time.Since(s.begun).Seconds())-s.taken.Load())
		}
		if n <= 0 {
			return 0
		}
		if s.left.CompareAndSwap(left, left-n) {
			s.taken.Add(n)
			return int(n)
		}
	}
}

// work takes runs and starts agents for them until no more are to be started and these have ended.
func (w *Worker) work(s *starts) error {
	ended := make(chan error, w.slots)
	free := w.slots
	for s.left.Load() > 0 {
		select {
		case err := <-ended:
			if err != nil {
				return err
			}
			free++
			continue
		default:
		}
		n := s.reserve(free)
		if n == 0 {
			<-time.After(time.Millisecond)
			continue
		}
		claims, err := w.Claim(n)
		if err != nil {
			return err
		}
		s.taken.Add(int64(len(claims) - n))
		s.left.Add(int64(n - len(claims)))
		for _, c := range claims {
			free--
			go func() { ended <- w.Attempt(c) }()
		}
	}
	for ; free < w.slots; free++ {
		if err := <-ended; err != nil {
			return err
		}
	}
	return nil
}

// Submit submits a run on a connection.
func (w *Wire) Submit(run string, r job.SubmitRequest) error {
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = w.Put("/api/v1/runs/"+run, "application/json", body)
	return err
}
