package db

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Work yields while transactions of agents wait or are under way, for a third of the time that it took at most.
func TestYield(t *testing.T) {
	const took = 300 * time.Millisecond
	wait := errors.New("the transaction has ended")
	for name, tt := range map[string]struct {
		postgres bool
		lasting  []time.Duration // transactions one after the other
		want     time.Duration
	}{
		"nobody waits":               {},
		"one transaction":            {lasting: []time.Duration{10*time.Millisecond - time.Microsecond}, want: 11 * time.Millisecond},
		"two one after the other":    {lasting: []time.Duration{10*time.Millisecond - time.Microsecond, 20 * time.Millisecond}, want: 31 * time.Millisecond},
		"one that does not end soon": {lasting: []time.Duration{time.Minute}, want: took / 3},
		"PostgreSQL":                 {postgres: true, lasting: []time.Duration{time.Minute}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &DB{Now: time.Now, Dialect: Dialect{Postgres: tt.postgres, isConflict: func(error) bool { return false }}, Gate: waitingGate{ended: wait}}
				go func() {
					for _, d := range tt.lasting {
						ctx, end := context.WithTimeout(t.Context(), d)
						if err := s.WriteFirst(ctx, None, nil); !errors.Is(err, wait) {
							t.Error(err)
						}
						end()
					}
				}()
				synctest.Wait()
				began := time.Now()
				if err := s.Yield(t.Context(), began.Add(-took)); err != nil {
					t.Fatal(err)
				}
				if d := time.Since(began); d != tt.want {
					t.Errorf("%s, want %s", d, tt.want)
				}
			})
		})
	}
}

// waitingGate keeps transactions until their context ends.
type waitingGate struct {
	gate

	ended error
}

func (g waitingGate) Write(ctx context.Context, _ Touch, _ func(context.Context, func(*Tx) error) error, _ func(*Tx) error) error {
	<-ctx.Done()
	return g.ended
}

// A context that ends while the work yields ends it.
func TestYieldEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &DB{Now: time.Now}
		s.first.Add(1)
		ctx, end := context.WithTimeout(t.Context(), 5*time.Millisecond+time.Microsecond)
		defer end()
		if err := s.Yield(ctx, time.Now().Add(-time.Second)); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}
