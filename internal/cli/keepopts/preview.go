// Package keepopts reads the options about what is kept, and writes what they would delete.
package keepopts

import (
	"fmt"

	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/keep"
	"stint.dev/stint/internal/store/retention"
	"stint.dev/stint/job"
)

// Preview writes what would be deleted, a line for each setting and one for all.
func Preview(got *retention.Preview) string {
	var out string
	var sum keep.Tally
	jobs := map[string]bool{}
	for _, t := range got.Tallies {
		out += tallyLine(t)
		if wait := got.Waits[t.Setting]; wait > 0 {
			out += fmt.Sprintf("; waits for %s, because it is more than a tenth of all at once", job.DurationText(wait))
		}
		out += "\n"
		sum.Runs += t.Runs
		sum.Bytes += t.Bytes
		t.EachJob(func(name string) { jobs[name] = true })
	}
	if len(got.Tallies) == 0 {
		out = "no setting limits what is kept\n"
	}
	return out + fmt.Sprintf("in all: %s of %d that have ended, of %s, %s; nothing was deleted\n",
		console.Count(int64(sum.Runs), "run"), got.Plan.Runs, console.Count(int64(len(jobs)), "job"), job.Bytes(sum.Bytes))
}

func tallyLine(t keep.Tally) string {
	line := t.Name()
	if t.Job != "" {
		line += " of job " + job.Quote(t.Job)
	}
	limit := t.Text(t.Limit)
	if t.Rule == keep.Bytes {
		limit = job.Bytes(t.Limit)
	}
	line += " (" + limit + "): "
	if t.Runs == 0 {
		return line + "nothing"
	}
	return line + fmt.Sprintf("%s of %s, %s, ended from %s to %s", console.Count(int64(t.Runs), "run"), console.Count(int64(t.Jobs()), "job"), job.Bytes(t.Bytes),
		t.Oldest.UTC().Format("2006-01-02 15:04"), t.Newest.UTC().Format("2006-01-02 15:04 UTC"))
}
