package store

import (
	"context"
	"fmt"
	"testing"
	"time"

	"stint.dev/stint/internal/store/plantest"
)

// BenchmarkRound is what a round of the monitor reads, with very many active runs.
func BenchmarkRound(b *testing.B) {
	for _, engine := range []string{"SQLite", "PostgreSQL"} {
		for _, n := range []int{50_000, 200_000} {
			b.Run(fmt.Sprintf("%s/%d", engine, n), func(b *testing.B) {
				s := benchStore(b, engine)
				now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
				plantest.Fill(b, s.DB, n, now)
				benchRound(b, s, n, now)
			})
		}
	}
}

func benchRound(b *testing.B, s *Store, n int, now time.Time) {
	b.Run("due", func(b *testing.B) {
		for b.Loop() {
			if due, err := s.Due(context.Background(), now.Add(20*time.Second), 50_000); err != nil || len(due) != n/1000 {
				b.Fatal(len(due), err)
			}
		}
	})
	b.Run("count", func(b *testing.B) {
		for b.Loop() {
			if active, err := s.ActiveRuns(context.Background()); err != nil || len(active) != n/10+1 {
				b.Fatal(len(active), err)
			}
		}
	})
	b.Run("page", func(b *testing.B) {
		after := ""
		for b.Loop() {
			var err error
			if _, after, err = s.Active(context.Background(), after, 2000); err != nil {
				b.Fatal(err)
			}
		}
	})
}
