package journal_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

var sizes = []int{100, 4 << 10, 64 << 10, journal.MaxOutput}

// BenchmarkAppendOutput is the producer's cost: frame, checksum and digest in place.
func BenchmarkAppendOutput(b *testing.B) {
	for _, size := range sizes {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			w, err := journal.NewWriter(io.Discard)
			if err != nil {
				b.Fatal(err)
			}
			rec := make([]byte, journal.FrameSize+journal.OutputPrefix+size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				journal.PutOutput(rec, 0, job.Stdout, start)
				if err := w.AppendEncoded(rec); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRead is the reader's cost over 16 MiB of output.
func BenchmarkRead(b *testing.B) {
	for _, size := range sizes {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			whole := journal.AppendHeader(nil)
			rec := journal.OutputRecord(start, journal.Output{Stream: job.Stdout, Data: make([]byte, size)})
			for len(whole) < 16<<20 {
				whole = journal.AppendRecord(whole, rec)
			}
			b.SetBytes(int64(len(whole)))
			b.ReportAllocs()
			for b.Loop() {
				r := journal.NewReader(bytes.NewReader(whole))
				for {
					if _, err := r.Next(); err == io.EOF {
						break
					} else if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
