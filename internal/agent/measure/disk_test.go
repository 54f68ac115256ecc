package measure

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestFreeSpaceIsAskedForBesideTheHeartbeat(t *testing.T) {
	var d Disk
	now := time.Now()
	dir := t.TempDir()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for d.Free(dir, now) == nil {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatal("no answer")
		}
	}
	if left := d.Free(dir, now); *left <= 0 {
		t.Errorf("%d bytes left", *left)
	}
	var none Disk
	_ = none.Free(filepath.Join(dir, strings.Repeat("x", 10)), now)
	for none.asking.Load() {
		<-tick.C
	}
	if left := none.Free(filepath.Join(dir, "x"), now); left != nil {
		t.Errorf("a directory that does not exist has %d bytes left", *left)
	}
}
