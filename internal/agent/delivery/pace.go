package delivery

import "time"

const (
	// An append brings at least minBatch and at most maxBatch, unless one record is
	// longer; at most maxBuffered where its bytes are held in memory. The server takes
	// 8 MiB, and each append costs it two waits for its disk.
	minBatch    = 64 << 10
	firstBatch  = 1 << 20
	maxBuffered = 1 << 20
	maxBatch    = 7 << 20
	// A batch should take about this long: quicker ones grow, slower ones shrink.
	quickBatchLimit = 200 * time.Millisecond
	slowBatchLimit  = 2 * time.Second

	// Small output waits this long for more to come, unless a client follows the run: a
	// little longer each time. A heartbeat, for which agent and server wake anyway, takes it
	// along if the last append is not too recent: each append of its own
	// costs as much CPU as all else in that second. What is urgent waits a moment, so that
	// the start of a job is one append and a very short job is one altogether.
	coalesceDelay        = 3 * time.Second
	maxCoalesceDelay     = 5 * time.Second
	beatCoalesceDelay    = 1500 * time.Millisecond
	watchedCoalesceDelay = 150 * time.Millisecond
	urgentCoalesceDelay  = 30 * time.Millisecond

	// Compression is tried where plain bytes go slower than this, in bytes per second: one
	// core compresses several times as fast.
	slowLink = 50 << 20
	// minMeasured is the least batch whose time shows the rate of the link.
	minMeasured = 256 << 10
	// trials is how many batches each way of sending is measured by, and trialInterval how
	// long the result is kept.
	trials        = 3
	trialInterval = time.Minute
)

// pace decides how much to send at once, how long to wait for more, and whether to
// compress, by what the last appends showed. It is not safe for concurrent use.
type pace struct {
	batch   int
	waiting time.Duration // of the last wait for small output; 0 for none

	compressed bool      // how batches go now
	until      time.Time // when the other way is measured again; zero while it is not known
	seen       int       // batches measured since the last change
	rate       float64   // of them, bytes of journal per second
	plainRate  float64   // when compression began

	refusedSize  int       // the least that was refused for its size; 0 for none
	refusedUntil time.Time // when more is tried again
}

func newPace() pace { return pace{batch: firstBatch} }

// wait returns how long small output waits for more.
func (p *pace) wait(watched bool) time.Duration {
	if watched {
		p.waiting = 0
		return watchedCoalesceDelay
	}
	p.waiting = min(max(coalesceDelay, p.waiting+p.waiting/8), maxCoalesceDelay)
	return p.waiting
}

// sent learns from a batch that was taken.
func (p *pace) sent(now time.Time, bytes int, took time.Duration) {
	if p.refusedSize > 0 && (bytes >= p.refusedSize || !now.Before(p.refusedUntil)) {
		p.refusedSize = 0
	}
	switch {
	case took > slowBatchLimit:
		p.shrink()
	case p.refusedSize > 0:
		if 2*p.batch < p.refusedSize {
			p.batch *= 2
		}
	case p.batch < minBatch: // size was not the reason
		p.batch = minBatch
	case took < quickBatchLimit && bytes >= p.batch/2:
		p.batch = min(2*p.batch, maxBatch)
	}
	if bytes >= minMeasured {
		p.measure(now, float64(bytes)/max(took, time.Microsecond).Seconds())
	}
}

// failed learns from a batch that did not come through.
func (p *pace) failed() { p.shrink() }

func (p *pace) shrink() { p.batch = max(p.batch/2, min(p.batch, minBatch)) }

// tooLarge learns that a batch was refused for its size. It reports whether there is a
// smaller one to try: a batch is at least one record, however long.
func (p *pace) tooLarge(now time.Time, bytes int, one bool) bool {
	if one {
		p.refusedSize = 0 // so size was not the reason
		return false
	}
	p.refusedSize, p.refusedUntil = bytes, now.Add(trialInterval)
	p.batch = max(1, min(p.batch, bytes)/2)
	return true
}

// measure compares both ways of sending and takes the quicker one. Compression must be a
// good deal quicker: it costs the job's host CPU.
func (p *pace) measure(now time.Time, rate float64) {
	p.seen++
	p.rate += (rate - p.rate) / float64(min(p.seen, trials))
	if p.seen < trials {
		return
	}
	switch {
	case !p.compressed && p.rate < slowLink && !now.Before(p.until):
		p.plainRate = p.rate
		p.change(true, now)
	case p.compressed && p.rate < 1.3*p.plainRate:
		p.change(false, now)
	}
}

func (p *pace) change(compressed bool, now time.Time) {
	p.compressed, p.seen, p.rate = compressed, 0, 0
	if !compressed {
		p.until = now.Add(trialInterval)
	}
}
