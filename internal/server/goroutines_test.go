package server_test

import (
	"testing"

	"go.uber.org/goleak"

	"stint.dev/stint/internal/server"
)

// New starts no goroutine, and none is left when Serve has returned.
func TestGoroutinesEndWithServe(t *testing.T) {
	st := openStore(t, t.TempDir())
	before := goleak.IgnoreCurrent()
	if _, err := server.New(server.Config{Store: st}); err != nil {
		t.Fatal(err)
	}
	goleak.VerifyNone(t, before)
	start(t, server.Config{Store: st}).stop()
	goleak.VerifyNone(t, before)
}

// The metric of live streams counts those that are open.
func TestStreamReadersMetric(t *testing.T) {
	l := start(t, server.Config{})
	s := newSketch(t, "j", nil).command()
	l.do("POST", journalPath(s.id, 1, 0), s.bytes()).ok(t, nil)
	one, all := l.follow(streamOf(s), ""), l.follow("/api/v1/stream", "")
	l.waitMetric("", "stint_stream_readers", func(n int) bool { return n == 2 })
	one.close()
	all.close()
	l.waitMetric("", "stint_stream_readers", func(n int) bool { return n == 0 })
}
