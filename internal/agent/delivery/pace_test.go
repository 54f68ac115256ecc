package delivery

import (
	"testing"
	"time"
)

func TestBatchesFollowTheLink(t *testing.T) {
	p := newPace()
	now := time.Unix(0, 0)
	for range 5 {
		p.sent(now, p.batch, 10*time.Millisecond)
	}
	if p.batch != maxBatch {
		t.Errorf("quick batches grew to %d bytes", p.batch)
	}
	p.sent(now, p.batch, 3*time.Second)
	if p.batch != maxBatch/2 {
		t.Errorf("a slow batch is followed by %d bytes", p.batch)
	}
	for range 10 {
		p.failed()
	}
	if p.batch != minBatch {
		t.Errorf("failures shrank the batch to %d bytes", p.batch)
	}
	p.sent(now, 100, time.Millisecond)
	if p.batch != minBatch {
		t.Error("a small batch says nothing about large ones")
	}
}

func TestSmallOutputWaitsLongerWhileNobodyWatches(t *testing.T) {
	p := newPace()
	if first := p.wait(false); first != coalesceDelay {
		t.Errorf("waited %s at first", first)
	}
	for range 20 {
		p.wait(false)
	}
	if last := p.wait(false); last != maxCoalesceDelay {
		t.Errorf("waited %s in the end", last)
	}
	if watched := p.wait(true); watched > 200*time.Millisecond {
		t.Errorf("waited %s although somebody watches", watched)
	}
	if again := p.wait(false); again != coalesceDelay {
		t.Errorf("waited %s when nobody watched any more", again)
	}
}

// link is what a batch takes: its bytes on a link, or the work of a server.
type link struct{ plain, compressed float64 } // bytes of journal per second

func (l link) drive(p *pace, now *time.Time, batches int) {
	for range batches {
		rate := l.plain
		if p.compressed {
			rate = l.compressed
		}
		took := time.Duration(float64(1<<20) / rate * float64(time.Second))
		*now = now.Add(took)
		p.sent(*now, 1<<20, took)
	}
}

func TestCompressionOnlyWhereTheLinkIsTheLimit(t *testing.T) {
	for _, tc := range []struct {
		name string
		link link
		want bool
	}{
		{"slow link", link{plain: 2e6, compressed: 8e6}, true},
		{"fast link", link{plain: 800e6, compressed: 200e6}, false},
		{"slow server", link{plain: 10e6, compressed: 10e6}, false},
		{"output that does not compress", link{plain: 2e6, compressed: 2e6}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, now := newPace(), time.Unix(0, 0)
			tc.link.drive(&p, &now, 2*trials)
			if p.compressed != tc.want {
				t.Errorf("compressed: %v", p.compressed)
			}
			tc.link.drive(&p, &now, trials)
			if p.compressed != tc.want {
				t.Errorf("later compressed: %v", p.compressed)
			}
		})
	}
}

func TestCompressionIsTriedAgain(t *testing.T) {
	p, now := newPace(), time.Unix(0, 0)
	link{plain: 1e6, compressed: 1e6}.drive(&p, &now, 2*trials)
	if p.compressed {
		t.Fatal("compressed for nothing")
	}
	now = now.Add(trialInterval)
	link{plain: 1e6, compressed: 5e6}.drive(&p, &now, 2*trials)
	if !p.compressed {
		t.Error("a link that became slow is not tried again")
	}
}
