package heap

import (
	"context"
	"runtime/debug"
	"testing"
	"testing/synctest"
)

func TestGCPercent(t *testing.T) {
	for _, c := range []struct {
		liveMB uint64
		want   int
	}{{0, 400}, {6, 400}, {8, 300}, {16, 150}, {32, 75}, {48, 50}, {65, 50}, {250, 50}, {1 << 20, 50}} {
		if got := gcPercent(c.liveMB << 20); got != c.want {
			t.Errorf("%d MB in use: %d, want %d", c.liveMB, got, c.want)
		}
	}
}

func TestFollowingTheHeapEnds(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			Follow(ctx)
		}()
		synctest.Wait()
		cancel()
		<-ended
	})
}
