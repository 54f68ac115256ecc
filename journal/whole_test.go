package journal_test

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"stint.dev/stint/journal"
)

// Whole records are found alike in memory and where they stand, wherever a journal is cut.
func TestWholeRecordsWhereTheyStand(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := journal.AppendHeader(nil)
		starts := []int{0, len(all)}
		for _, r := range rapid.SliceOfN(anyRecord(), 0, 30).Draw(t, "records") {
			all = journal.AppendRecord(all, r)
			starts = append(starts, len(all))
		}
		from := rapid.OneOf(rapid.SampledFrom(starts), rapid.IntRange(0, len(all))).Draw(t, "from")
		size := rapid.IntRange(0, len(all)-from).Draw(t, "size")
		got, err := journal.WholeRecordsIn(bytes.NewReader(all), int64(from), int64(size))
		if want := journal.WholeRecords(all[from:from+size], int64(from)); err != nil || got != int64(want) {
			t.Fatalf("of %d bytes from %d: %d are whole, not %d (%v)", size, from, got, want, err)
		}
	})
	if n, err := journal.WholeRecordsIn(bytes.NewReader(nil), 16, 1<<20); n != 0 || err == nil {
		t.Errorf("of nothing %d bytes are whole (%v)", n, err)
	}
}
