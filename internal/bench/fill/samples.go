package fill

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"stint.dev/stint/internal/bench/fleet"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

var errStuck = errors.New("the store takes no more")

// Samples stores the samples of a run that began at a time and went on for another, one each period, as its agent
// would have brought them. It returns how many there are.
func Samples(ctx context.Context, o store.Options, id string, began time.Time, length, period time.Duration) (total int, err error) {
	db, err := store.Open(ctx, o)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	offset := int64(0)
	data := fleet.Beginning(id, 1, began, period)
	const each = time.Hour // what an agent brings at once that is far behind
	for at := began; at.Before(began.Add(length)); at = at.Add(each) {
		for t := at; t.Before(at.Add(each)); t = t.Add(period) {
			rec, err := journal.JSONRecord(journal.TypeSample, t, chartSample(total, t))
			if err != nil {
				return 0, err
			}
			data = journal.AppendRecord(data, rec)
			total++
		}
		for len(data) > 0 { // a part is taken of an append that makes much work
			done, _, err := db.Ingest(ctx, []index.Append{{Run: id, Attempt: 1, Offset: offset, Data: data, At: at.Add(each)}}, nil)
			if err == nil {
				err = done[0].Err
			}
			if err == nil && done[0].Size <= offset {
				err = fmt.Errorf("nothing was taken of %d bytes: %w", len(data), errStuck)
			}
			if err != nil {
				return 0, fmt.Errorf("store samples: %w", err)
			}
			data, offset = data[done[0].Size-offset:], done[0].Size
		}
	}
	return total, nil
}

// chartSample is what a job uses that works by day and rests by night.
func chartSample(n int, at time.Time) job.Sample {
	day := (1 + math.Sin(float64(n)/2750)) / 2
	return job.Sample{
		At: at.UTC(), CPUSeconds: float64(n), CPUCores: 4 * day, MemoryBytes: int64(day*8e9) + int64(n%977)<<12, Processes: 3 + n%5, Threads: 12,
		ReadBytes: int64(n) << 14, WriteBytes: int64(n) << 13,
	}
}
