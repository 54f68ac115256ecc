package store_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// BenchmarkIngest appends to one journal, one append a group, as a single fast agent
// does; and to eight at once.
func BenchmarkIngest(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10, 1 << 20} {
		for _, agents := range []int{1, 8} {
			b.Run(fmt.Sprintf("append=%dKiB/agents=%d", size>>10, agents), func(b *testing.B) { benchIngest(b, size, agents) })
		}
	}
}

func benchIngest(b *testing.B, size, agents int) {
	ctx := context.Background()
	s, err := store.Open(ctx, store.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // a benchmark
	group := make([]index.Append, agents)
	for i := range group {
		id := runID()
		first, err := journal.JSONRecord(journal.TypeAttempt, epoch, journal.Attempt{Run: id, Attempt: 1, Job: "bench"})
		if err != nil {
			b.Fatal(err)
		}
		group[i] = index.Append{Run: id, Attempt: 1, Data: journal.AppendRecord(journal.AppendHeader(nil), first), At: noon}
	}
	ingest(b, s, group)
	random := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, min(size, journal.MaxPayload)-journal.FrameSize-journal.OutputPrefix)
	for i := range data {
		if data[i] = byte(random.IntN(256)); i%100 == 99 {
			data[i] = '\n'
		}
	}
	record := journal.AppendRecord(nil, journal.OutputRecord(epoch, journal.Output{Stream: "stdout", Data: data}))
	b.SetBytes(int64(len(record) * agents))
	for b.Loop() {
		for i := range group {
			group[i].Offset += int64(len(group[i].Data))
			group[i].Data = record
		}
		ingest(b, s, group)
	}
}

func ingest(b *testing.B, s *store.Store, group []index.Append) {
	b.Helper()
	got, _, err := s.Ingest(context.Background(), group, nil)
	if err != nil {
		b.Fatal(err)
	}
	for _, a := range got {
		if a.Err != nil {
			b.Fatal(a.Err)
		}
	}
}

// BenchmarkBeats stores the heartbeats of many runs in one group; the figure is for a group.
func BenchmarkBeats(b *testing.B) {
	for _, agents := range []int{64, 1000} {
		b.Run(fmt.Sprintf("agents=%d", agents), func(b *testing.B) {
			s, err := store.Open(b.Context(), store.Options{Dir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close() //nolint:errcheck // a benchmark
			group, beats := make([]index.Append, agents), make([]lease.Beat, agents)
			for i := range group {
				id := runID()
				first, err := journal.JSONRecord(journal.TypeAttempt, epoch, journal.Attempt{Run: id, Attempt: 1, Job: "bench"})
				if err != nil {
					b.Fatal(err)
				}
				group[i] = index.Append{Run: id, Attempt: 1, Data: journal.AppendRecord(journal.AppendHeader(nil), first), At: noon}
				beats[i] = lease.Beat{Run: id, Attempt: 1, Lease: time.Minute, Heartbeat: job.Heartbeat{Sequence: 1, CPUSeconds: 3, MemoryBytes: 4 << 20}}
			}
			ingest(b, s, group)
			for n := 0; b.Loop(); n++ {
				for i := range beats {
					beats[i].At = noon.Add(time.Duration(n) * time.Second)
				}
				if done := takeBeats(b, s, beats); !done[0].Known {
					b.Fatal(done)
				}
			}
		})
	}
}
