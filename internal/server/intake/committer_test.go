package intake

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/metrics"
	"stint.dev/stint/internal/server/httpio"
)

// groups is a store's Ingest that tests hold up and look at.
type groups struct {
	Store
	mu      sync.Mutex
	sizes   []int
	entered chan struct{} // one token per commit that has begun
	release chan struct{} // one token lets a commit go on; closed: all
	poison  string        // a run whose presence makes a group fail
	known   string        // a run whose beats need no transaction
	down    bool
}

var errDown = errors.New("database is down")

func newGroups() *groups {
	return &groups{entered: make(chan struct{}, 10_000), release: make(chan struct{}, 10_000)}
}

func (g *groups) Ingest(ctx context.Context, appends []index.Append, beats []lease.Beat) ([]index.Appended, []lease.BeatResult, error) {
	g.mu.Lock()
	g.sizes = append(g.sizes, len(appends)+len(beats))
	g.mu.Unlock()
	g.entered <- struct{}{}
	select {
	case <-g.release:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	if g.down {
		return nil, nil, errDown
	}
	out := make([]index.Appended, len(appends))
	for i, a := range appends {
		if a.Run == g.poison {
			return nil, nil, errors.New("cannot be stored")
		}
		out[i].Size = a.Offset + int64(len(a.Data))
	}
	return out, make([]lease.BeatResult, len(beats)), nil
}

// Renew answers the beats of known runs.
func (g *groups) Renew(beats []lease.Beat) []*lease.BeatResult {
	out := make([]*lease.BeatResult, len(beats))
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, b := range beats {
		if b.Run == g.known {
			out[i] = &lease.BeatResult{Known: true, Owner: true}
		}
	}
	return out
}

// set makes the owner of a run known.
func (g *groups) set(run string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.known = run
}

// testCommitter is a committer over g that counts what it reports.
func testCommitter(g *groups) (*committer, *sync.Map) {
	reported := &sync.Map{}
	m := newCounters(metrics.NewSet())
	c := newCommitter(g, callbacks{
		append: func(a index.Append, _ index.Appended) { reported.Store(a.Run, true) },
		beat:   func(b lease.Beat, _ lease.BeatResult) { reported.Store(b.Run, true) },
	}, m, time.Now, 0)
	go c.run(context.Background())
	return c, reported
}

// waitQueued waits until n entries are queued, which the test knows must happen.
func waitQueued(t *testing.T, c *committer, n int) {
	t.Helper()
	waitUntil(t, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.appendCount()+c.beatCount() >= n
	})
}

// waitUntil waits for something that the test knows must happen.
func waitUntil(t *testing.T, happened func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for !happened() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("it did not happen in time")
		}
	}
}

func TestCommitsInGroupsWhileBusy(t *testing.T) {
	defer goleak.VerifyNone(t)
	g := newGroups()
	c, reported := testCommitter(g)
	var wg sync.WaitGroup
	send := func(run string) {
		wg.Go(func() {
			done, err := c.append(t.Context(), index.Append{Run: run, Offset: 5, Data: []byte("abc")})
			if err != nil || done.Size != 8 {
				t.Errorf("%s: size %d, %v", run, done.Size, err)
			}
		})
	}
	send("first")
	<-g.entered // alone, at once
	for i := range 50 {
		send(fmt.Sprint("later-", i))
	}
	wg.Go(func() {
		if _, err := c.beat(t.Context(), lease.Beat{Run: "beat"}); err != nil {
			t.Errorf("beat: %v", err)
		}
	})
	waitQueued(t, c, 50)
	close(g.release)
	wg.Wait()
	if err := c.close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(g.sizes, []int{1, 1, 50}) {
		t.Errorf("groups of %v, want the first alone, the heartbeat beside it, then the other appends", g.sizes)
	}
	for _, run := range []string{"first", "later-49", "beat"} {
		if _, ok := reported.Load(run); !ok {
			t.Errorf("%s was not reported", run)
		}
	}
}

func TestOnePoisonedEntryHarmsNoOther(t *testing.T) {
	defer goleak.VerifyNone(t)
	g := newGroups()
	g.poison = "later-3"
	c, reported := testCommitter(g)
	results := make([]error, 10)
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = c.append(t.Context(), index.Append{Run: "first", Data: []byte("x")}) })
	<-g.entered
	for i := range results {
		wg.Go(func() {
			_, results[i] = c.append(t.Context(), index.Append{Run: fmt.Sprint("later-", i), Data: []byte("x")})
		})
	}
	waitQueued(t, c, len(results))
	close(g.release)
	wg.Wait()
	for i, err := range results {
		if (err != nil) != (i == 3) {
			t.Errorf("later-%d: %v", i, err)
		}
	}
	if _, ok := reported.Load("later-3"); ok {
		t.Error("an append that failed was reported as committed")
	}
	if err := c.close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestDatabaseDownFailsAGroupSoon(t *testing.T) {
	defer goleak.VerifyNone(t)
	g := newGroups()
	g.down = true
	c, _ := testCommitter(g)
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = c.append(t.Context(), index.Append{Run: "first", Data: []byte("x")}) })
	<-g.entered
	for i := range 200 {
		wg.Go(func() {
			if _, err := c.append(t.Context(), index.Append{Run: fmt.Sprint("r", i), Data: []byte("x")}); !errors.Is(err, errDown) {
				t.Errorf("got %v", err)
			}
		})
	}
	waitQueued(t, c, 200)
	close(g.release)
	wg.Wait()
	if len(g.sizes) > 2+commitTries {
		t.Errorf("%d tries to commit while the database was down", len(g.sizes))
	}
	if err := c.close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestFullQueueRefuses(t *testing.T) {
	defer goleak.VerifyNone(t)
	g := newGroups()
	c, _ := testCommitter(g)
	var wg sync.WaitGroup
	var n int
	send := func(size int) {
		n++
		run := fmt.Sprint("r", n)
		wg.Go(func() {
			if _, err := c.append(t.Context(), index.Append{Run: run, Data: make([]byte, size)}); err != nil {
				t.Errorf("accepted, then: %v", err)
			}
		})
	}
	send(1)
	<-g.entered
	const part = queueBytes / 8
	for range 8 {
		send(part)
	}
	waitQueued(t, c, 8)
	_, err := c.append(t.Context(), index.Append{Run: "r", Data: []byte("x")})
	var p *httpio.Problem
	if !errors.As(err, &p) || p.Status != http.StatusTooManyRequests || p.RetryAfter <= 0 {
		t.Errorf("a full queue answered %v", err)
	}
	close(g.release)
	wg.Wait()
	if c.queuedBytes() != 0 {
		t.Errorf("%d bytes are still counted", c.queuedBytes())
	}
	for _, n := range g.sizes {
		if n*part > groupBytes+part {
			t.Errorf("a group of %d entries has more than %d bytes", n, groupBytes)
		}
	}
	if err := c.close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestCloseAnswersWhatWasAccepted(t *testing.T) {
	defer goleak.VerifyNone(t)
	g := newGroups()
	c, _ := testCommitter(g)
	var wg sync.WaitGroup
	send := func() {
		wg.Go(func() {
			if _, err := c.append(t.Context(), index.Append{Run: "r", Data: []byte("x")}); err != nil {
				t.Errorf("accepted, then: %v", err)
			}
		})
	}
	send()
	<-g.entered // alone, so that the others wait
	for range 19 {
		send()
	}
	waitQueued(t, c, 19)
	closed := make(chan error, 1)
	go func() { closed <- c.close(t.Context()) }()
	close(g.release)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	wg.Wait()
	_, err := c.append(t.Context(), index.Append{Run: "r", Data: []byte("x")})
	var p *httpio.Problem
	if !errors.As(err, &p) || p.Status != http.StatusServiceUnavailable {
		t.Errorf("after close: %v", err)
	}
}

func TestCloseGivesUpOnAStuckDatabase(t *testing.T) {
	defer goleak.VerifyNone(t)
	g := newGroups()
	c, _ := testCommitter(g)
	stuck := make(chan error, 1)
	go func() {
		_, err := c.append(t.Context(), index.Append{Run: "r", Data: []byte("x")})
		stuck <- err
	}()
	<-g.entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("close returned %v", err)
	}
	if err := <-stuck; !errors.Is(err, context.Canceled) {
		t.Errorf("the append returned %v", err)
	}
}

// held is a committer in a bubble of fake time whose commits are held up, and what is on its way to it.
type held struct {
	t       *testing.T
	groups  *groups
	c       *committer
	sent    sync.WaitGroup
	refused atomic.Int64
}

// whileHeld calls test while a commit of one append of the run and the owner "first" is held up. Then
// all commits go on, and nothing is left in the queues. Where the test waits for what does not happen,
// it fails, and ends.
func whileHeld(t *testing.T, test func(t *testing.T, h *held)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &held{t: t, groups: newGroups()}
		h.c, _ = testCommitter(h.groups)
		defer func() {
			close(h.groups.release)
			h.sent.Wait()
			if err := h.c.close(t.Context()); err != nil {
				t.Error(err)
			}
			if len(h.c.runs)+len(h.c.owners) != 0 || h.c.appendRoom.Used()+h.c.byteRoom.Used() != 0 {
				t.Errorf("shares left: %v, %v", h.c.runs, h.c.owners)
			}
		}()
		h.send("first", "first", 1)
		h.began(1)
		test(t, h)
	})
}

// send begins an append of so many bytes.
func (h *held) send(token, run string, size int) {
	h.sent.Go(func() { appendTo(withOwner(h.t.Context(), token), h.t, h.c, run, size, &h.refused) })
}

// began fails the test unless so many commits have begun when nothing moves any more.
func (h *held) began(n int) {
	h.t.Helper()
	synctest.Wait()
	if got := len(h.groups.entered); got != n {
		h.t.Fatalf("%d commits have begun, want %d", got, n)
	}
}

// waiting fails the test unless so many appends wait, and so many were refused, when nothing moves
// any more.
func (h *held) waiting(n int, refused int64) {
	h.t.Helper()
	synctest.Wait()
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	if got := h.c.appendCount(); got != n || h.refused.Load() != refused {
		h.t.Fatalf("%d appends wait and %d were refused, want %d and %d", got, h.refused.Load(), n, refused)
	}
}

// next lets the commit go on that is held up, and returns what waits when the next one has begun.
func (h *held) next() []*entry {
	h.t.Helper()
	h.groups.release <- struct{}{}
	h.began(2)
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	return slices.Clone(h.c.queue)
}

// One run that sends as much as it can neither fills the queue nor holds up the others.
func TestOneHugeRunStarvesNobody(t *testing.T) {
	whileHeld(t, func(t *testing.T, h *held) {
		for range 40 { // more than its share of 16 MiB
			h.send("", "huge", 1<<20)
		}
		h.waiting(16, 24)
		for i := range 20 {
			h.send("", fmt.Sprint("small-", i), 1000)
		}
		h.waiting(36, 24)
		left := h.next()
		for _, e := range left {
			if e.run() != "huge" {
				t.Errorf("run %s waits behind the huge one", e.run())
			}
		}
		if len(left) != 12 {
			t.Errorf("%d appends of the huge run wait, want 12 of 16", len(left))
		}
	})
}

// appendTo appends to a run, and counts a refusal for want of room.
func appendTo(ctx context.Context, t *testing.T, c *committer, run string, size int, refused *atomic.Int64) {
	_, err := c.append(ctx, index.Append{Run: run, Data: make([]byte, size)})
	var p *httpio.Problem
	switch {
	case errors.As(err, &p) && p.Status == http.StatusTooManyRequests:
		refused.Add(1)
	case err != nil:
		t.Error(err)
	}
}

// withOwner is the context of a request that brought a token.
func withOwner(ctx context.Context, token string) context.Context {
	return access.WithCaller(ctx, access.Caller{Token: token, Via: access.ViaToken})
}

// One token that appends to as many runs as it likes has a share of each group while others
// wait, and of the queue.
func TestOneOwnerStarvesNobody(t *testing.T) {
	whileHeld(t, func(t *testing.T, h *held) {
		for i := range 100 { // half of the queue is its own while nobody else has much
			h.send("huge", fmt.Sprint("huge-", i), 1<<20)
		}
		h.waiting(32, 68)
		for i := range 20 {
			small := fmt.Sprint("small-", i)
			h.send(small, small, 1000)
		}
		h.waiting(52, 68)
		left := h.next()
		for _, e := range left {
			if e.owner.Token != "huge" {
				t.Errorf("%s waits behind the huge one", e.owner.Token)
			}
		}
		if len(left) != 28 {
			t.Errorf("%d appends of the huge owner wait, want 28 of 32", len(left))
		}
	})
}

// A heartbeat counts from its arrival on, however long it waits, and also when it could not be
// stored, until a later one is.
func TestHeartbeatsCountBeforeTheyAreStored(t *testing.T) {
	g := newGroups()
	c, _ := testCommitter(g)
	defer c.close(t.Context()) //nolint:errcheck // the end of a test
	beat := func(second int64) lease.Beat {
		return lease.Beat{Run: "a", Attempt: 2, At: time.Unix(second, 0)}
	}
	begin := func(b lease.Beat) chan error {
		done := make(chan error, 1)
		go func() {
			_, err := c.beat(t.Context(), b)
			done <- err
		}()
		<-g.entered
		return done
	}
	check := func(when string, want time.Time) {
		t.Helper()
		if got := c.arrivals.last("a", 2); !got.Equal(want) {
			t.Errorf("%s: arrived at %v, want %v", when, got, want)
		}
		if other := c.arrivals.last("a", 1); !other.IsZero() {
			t.Errorf("%s: another attempt arrived at %v", when, other)
		}
	}
	check("before", time.Time{})
	waits := begin(beat(1000))
	check("while it waits", time.Unix(1000, 0))
	if behind := c.behind(); behind < time.Hour {
		t.Errorf("behind by %s", behind)
	}
	g.release <- struct{}{}
	if err := <-waits; err != nil {
		t.Fatal(err)
	}
	check("once it is stored", time.Time{})
	if c.behind() != 0 || c.lastStored().IsZero() {
		t.Errorf("behind by %s, last stored at %s", c.behind(), c.lastStored())
	}
	g.down = true
	fails := begin(beat(1010))
	g.release <- struct{}{}
	if err := <-fails; err == nil {
		t.Fatal("it was stored by a database that is down")
	}
	check("when it could not be stored", time.Unix(1010, 0))
	g.down = false
	waits = begin(beat(1020))
	g.release <- struct{}{}
	if err := <-waits; err != nil {
		t.Fatal(err)
	}
	check("once the next one is stored", time.Time{})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.beat(gone, beat(1030)); err == nil {
		t.Error("a client that left was answered")
	}
	check("when there was no room or no time for it", time.Unix(1030, 0))
}

func TestArrivalsAreBounded(t *testing.T) {
	a := arrivals{at: map[attemptKey]time.Time{}}
	for i := range maxArrivals + 10 {
		a.add(lease.Beat{Run: fmt.Sprint(i), Attempt: 1, At: time.Unix(1, 0)})
	}
	if len(a.at) != maxArrivals {
		t.Errorf("%d are remembered, want %d", len(a.at), maxArrivals)
	}
}
