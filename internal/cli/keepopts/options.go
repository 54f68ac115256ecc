package keepopts

import (
	"math"
	"time"

	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/internal/store/maintenance"
)

// Rows returns the options about what is kept.
func Rows() []option.Option {
	return []option.Option{
		{Name: "run-log-limit", Kind: option.Size, Value: "BYTES", Help: "keep only the beginning and the end of longer logs; the gap is shown with its size"},
		{Name: "keep-days", Kind: option.Number, Value: "N", Help: "delete runs that ended more than N days ago"},
		{Name: "keep-bytes", Kind: option.Size, Value: "BYTES", Help: "delete the oldest runs when all journals together are larger"},
		{Name: "keep-runs", Kind: option.Number, Value: "N", Help: "keep only the last N ended runs of each job"},
		{FlagOnly: true, Name: "keep-now", Kind: option.Switch, Help: "apply keep-days, keep-runs and keep of policies at once, also where they delete more than a tenth of all ended runs and would wait for 24 hours"},
		{FlagOnly: true, Name: "keep-dry-run", Kind: option.Switch, Help: "print what the options about what is kept, and policies, would delete now, and end; also beside a server that runs"},
	}
}

// Limits reads the limits of what is kept.
func Limits(opts *option.Set) (maintenance.Keep, error) {
	days, runs := opts.Number("keep-days"), opts.Number("keep-runs")
	if days < 0 || days > 100_000 || math.IsNaN(days) {
		return maintenance.Keep{}, option.Usagef("--keep-days: %g is not a number of days", days)
	}
	if runs < 0 || runs > 1e9 || runs != math.Trunc(runs) {
		return maintenance.Keep{}, option.Usagef("--keep-runs: %g is not a number of runs", runs)
	}
	return maintenance.Keep{
		Age: time.Duration(days * float64(24*time.Hour)), Bytes: opts.Size("keep-bytes"), Runs: int(runs),
		RunLog: opts.Size("run-log-limit"), AtOnce: opts.On("keep-now"),
	}, nil
}
