package jobmetrics

import (
	"io"
	"time"

	"stint.dev/stint/internal/metrics"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/job"
)

// help says what each metric means, for those who read the metrics; docs/metrics.md says the same.
var help = map[string]string{
	"stint_job_last_success_timestamp_seconds": "When the last run of the job that succeeded ended, or a success was counted that is no run, in seconds since 1970.",
	"stint_job_last_start_timestamp_seconds":   "When the last run of the job started, in seconds since 1970.",
	"stint_job_last_end_timestamp_seconds":     "When the last run of the job that has ended did, or was called lost, in seconds since 1970.",
	"stint_job_last_duration_seconds":          "Duration of the last run of the job that has ended.",
	"stint_job_last_peak_memory_bytes":         "The most memory that the last run of the job that has ended used.",
	"stint_job_last_exit_code":                 "Exit code of the last run of the job that has ended; missing if it has none.",
	"stint_job_failures_in_a_row":              "Runs of the job that failed, timed out or were lost since the last success, at most 10.",
	"stint_job_running":                        "Runs of the job that are active.",
	"stint_job_due_timestamp_seconds":          "When a run of the job is due next, or is due, in seconds since 1970; of jobs with an expectation.",
	"stint_job_missed":                         "1 if a run of the job was missed and none has started since; else 0; of jobs with an expectation.",
	"stint_job_findings":                       "Runs of the job that are active or wait and have a finding of the rule.",
	"stint_job_runs_total":                     "How often a run of the job has ended in the state, also of runs that were deleted since.",
	"stint_jobs_left_out":                      "Jobs that have no figures here because there are more than 10,000.",
}

// ends are the states that stint_job_runs_total counts.
var ends = []job.State{job.Succeeded, job.Failed, job.Canceled, job.TimedOut, job.Lost}

// write writes the figures as metrics.
func write(to io.Writer, figures *query.JobsFigures, labels []Label) {
	to = metrics.WithHelp(to, help)
	of := make(map[string]string, len(figures.Jobs)) // labels of series, by the name of the job
	for _, j := range figures.Jobs {
		text := metrics.Label("job_name", j.Name)
		for i, l := range labels {
			if j.Labels[i] != "" { // a label without a value is none
				text += "," + metrics.Label(l.Name, j.Labels[i])
			}
		}
		of[j.Name] = text
	}
	for _, family := range families {
		samples := make([]metrics.Sample, 0, len(figures.Jobs))
		for _, j := range figures.Jobs {
			if v, known := family.value(j); known {
				samples = append(samples, metrics.Sample{Labels: of[j.Name], Value: v})
			}
		}
		metrics.Write(to, family.name, "gauge", samples...)
	}
	findings := make([]metrics.Sample, len(figures.Findings))
	for i, f := range figures.Findings {
		labels := of[f.Job] + "," + metrics.Label("rule", f.Rule) + "," + metrics.Label("severity", string(f.Severity))
		findings[i] = metrics.Sample{Labels: labels, Value: float64(f.Runs)}
	}
	metrics.Write(to, "stint_job_findings", "gauge", findings...)
	runs := make([]metrics.Sample, 0, len(figures.Jobs)*len(ends))
	for _, j := range figures.Jobs {
		for _, state := range ends {
			runs = append(runs, metrics.Sample{Labels: of[j.Name] + "," + metrics.Label("state", string(state)), Value: float64(j.Ended[state])})
		}
	}
	metrics.Write(to, "stint_job_runs_total", "counter", runs...)
	metrics.Write(to, "stint_jobs_left_out", "gauge", metrics.Sample{Value: float64(figures.LeftOut)})
}

// families are the metrics with one value for each job. A value that is not known is left out.
var families = []struct {
	name  string
	value func(query.JobFigures) (v float64, known bool)
}{
	{"stint_job_last_success_timestamp_seconds", func(j query.JobFigures) (float64, bool) { return seconds(j.LastSuccess) }},
	{"stint_job_last_start_timestamp_seconds", func(j query.JobFigures) (float64, bool) { return seconds(j.LastStart) }},
	{"stint_job_last_end_timestamp_seconds", func(j query.JobFigures) (float64, bool) { return seconds(j.LastEnd) }},
	{"stint_job_last_duration_seconds", func(j query.JobFigures) (float64, bool) { return j.Duration.Seconds(), j.Duration >= 0 }},
	{"stint_job_last_peak_memory_bytes", func(j query.JobFigures) (float64, bool) { return float64(j.PeakMemory), j.PeakMemory > 0 }},
	{"stint_job_last_exit_code", func(j query.JobFigures) (float64, bool) {
		if j.ExitCode == nil {
			return 0, false
		}
		return float64(*j.ExitCode), true
	}},
	{"stint_job_failures_in_a_row", func(j query.JobFigures) (float64, bool) { return float64(j.FailuresInARow), true }},
	{"stint_job_running", func(j query.JobFigures) (float64, bool) { return float64(j.Active), true }},
	{"stint_job_due_timestamp_seconds", func(j query.JobFigures) (float64, bool) { return seconds(j.Due) }},
	{"stint_job_missed", func(j query.JobFigures) (float64, bool) {
		if j.Missed {
			return 1, true
		}
		return 0, j.Expected
	}},
}

// seconds returns a time in seconds since 1970, unless it is zero.
func seconds(at time.Time) (v float64, known bool) {
	return float64(at.UnixMicro()) / 1e6, !at.IsZero()
}
