package server

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/query"
)

type figuresStore struct{ Store }

func (figuresStore) Figures(context.Context, time.Time) (query.Figures, error) {
	return query.Figures{}, nil
}

// Somebody who reads the metrics slowly keeps nobody else from them.
func TestASlowReaderOfMetricsHoldsUpNobody(t *testing.T) {
	figures := &storeFigures{store: figuresStore{}, now: time.Now}
	from, slow := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		figures.write(slow)
	}()
	if _, err := from.Read(make([]byte, 1)); err != nil { // it is being written
		t.Fatal(err)
	}
	var out strings.Builder
	figures.write(&out)
	if !strings.Contains(out.String(), "stint_outbox_pending 0\n") {
		t.Errorf("have:\n%s", out.String())
	}
	if err := from.Close(); err != nil {
		t.Fatal(err)
	}
	<-ended
}
