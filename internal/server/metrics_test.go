package server_test

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/server"
	"stint.dev/stint/internal/server/jobmetrics"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// exposed returns the labels of each metric that a server shows, after one of everything that makes one.
func exposed(t *testing.T) map[string]map[string]bool {
	t.Helper()
	l := start(t, server.Config{})
	s := newSketch(t, "j", nil).command().output("x\n").finish(0)
	path := "/api/v1/runs/" + s.id + "/attempts/1/journal?offset="
	l.do("POST", path+"7", s.bytes())
	l.do("POST", path+"0", s.bytes()).ok(t, nil)
	l.submit(newID(), job.SubmitRequest{Job: "q", Command: &job.Spec{Version: job.SpecVersion, Args: []string{"true"}}}).created(t)
	runsOfEveryKind(t, l)
	out := map[string]map[string]bool{}
	for _, path := range []string{"/metrics", "/metrics/jobs"} {
		for _, line := range strings.Split(string(l.get(path).body), "\n") {
			name := regexp.MustCompile(`^[a-z_]+`).FindString(line)
			if name == "" {
				continue
			}
			if out[name] == nil {
				out[name] = map[string]bool{}
			}
			for _, label := range regexp.MustCompile(`([a-z_]+)="`).FindAllStringSubmatch(line, -1) {
				out[name][label[1]] = true
			}
		}
	}
	return out
}

// runsOfEveryKind makes runs after which every metric of jobs has a value: of the job j one that failed and one that is active
// and has a finding, and an expectation.
func runsOfEveryKind(t *testing.T, l *live) {
	t.Helper()
	labels, usage := map[string]string{"team": "red"}, job.Sample{CPUSeconds: 1, MemoryBytes: 5 << 20, Processes: 1}
	s := newSketch(t, "j", labels).command().output("x\n").add(journal.TypeSample, usage).finish(0)
	l.do("POST", journalPath(s.id, 1, 0), s.bytes()).ok(t, nil)
	s = newSketch(t, "j", labels).command().output("x\n").add(journal.TypeSample, usage).finish(3)
	l.do("POST", journalPath(s.id, 1, 0), s.bytes()).ok(t, nil)
	active := newSketch(t, "j", labels).command()
	l.do("POST", journalPath(active.id, 1, 0), active.bytes()).ok(t, nil)
	now := time.Now()
	leases, err := l.store.Due(t.Context(), now.Add(time.Hour), 1)
	if err != nil || len(leases) != 1 {
		t.Fatalf("leases: %+v, %v", leases, err)
	}
	_, err = l.store.Judge(t.Context(), []lease.Verdict{{
		Run: active.id, Attempt: 1, ReportedAt: leases[0].ReportedAt, At: now, Health: job.Warning,
		Findings: []job.Finding{{Rule: "quiet", Health: job.Warning, Since: now, Evidence: "It prints nothing."}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	l.do("PUT", "/api/v1/jobs/j/due", []byte(`{"every_seconds":3600}`)).ok(t, nil)
}

// The metrics of jobs, of a real server with real runs.
func TestMetricsOfJobs(t *testing.T) {
	labels, err := jobmetrics.Labels([]string{"team"})
	if err != nil {
		t.Fatal(err)
	}
	l := start(t, server.Config{MetricsLabels: labels})
	runsOfEveryKind(t, l)
	families := parseMetrics(t, l.get("/metrics/jobs").body)
	if len(families) != 13 {
		t.Errorf("%d families", len(families))
	}
	for name, f := range families {
		if name == "stint_jobs_left_out" {
			continue
		}
		for _, m := range f.GetMetric() {
			if l := m.GetLabel(); len(l) < 2 || l[0].GetName() != "job_name" || l[0].GetValue() != "j" || l[1].GetName() != "team" || l[1].GetValue() != "red" {
				t.Errorf("%s has the labels %v", name, l)
			}
		}
	}
}

func TestMetricsAreDocumented(t *testing.T) {
	shown := exposed(t)
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("\\| `(stint_[a-z_]+)").FindAllStringSubmatch(string(page), -1) {
		documented[m[1]] = true
		if shown[m[1]] == nil && shown[m[1]+"_bucket"] == nil {
			t.Errorf("docs/metrics.md names %s, which the server does not show", m[1])
		}
	}
	for name := range shown {
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if base := strings.TrimSuffix(name, suffix); shown[base+"_bucket"] != nil {
				name = base
			}
		}
		if strings.HasPrefix(name, "stint_") && !documented[name] {
			t.Errorf("%s is not in docs/metrics.md", name)
		}
	}
}

// parseMetrics reads metrics with the parser that Prometheus's libraries have, and reports series without help or type,
// and help that is empty or that another metric has.
func parseMetrics(t *testing.T, text []byte) map[string]*dto.MetricFamily {
	t.Helper()
	var parser expfmt.TextParser
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("not in the text format: %v\n%s", err, text)
	}
	of := map[string]string{}
	for name, f := range families {
		help := f.GetHelp()
		if f.GetType() == dto.MetricType_UNTYPED || !regexp.MustCompile(`^[A-Z0-9].*\.$`).MatchString(help) {
			t.Errorf("%s has the type %s and the help %q", name, f.GetType(), help)
		}
		if other := of[help]; other != "" {
			t.Errorf("%s and %s have the same help: %q", name, other, help)
		}
		of[help] = name
	}
	return families
}

// Each metric is explained and has a type where it is read.
func TestMetricsHaveHelpAndType(t *testing.T) {
	l := start(t, server.Config{Version: "1.0\"\\"})
	for _, name := range []string{"q", `quote"d`, "Käse 🧀"} {
		l.submit(newID(), job.SubmitRequest{Job: name, Command: &job.Spec{Version: job.SpecVersion, Args: []string{"true"}}}).created(t)
	}
	families := parseMetrics(t, append(l.get("/metrics").body, l.get("/metrics/jobs").body...))
	if len(families) < 45 {
		t.Errorf("only %d families", len(families))
	}
	for name, want := range map[string][]string{
		"stint_queue_job_runs": {"Käse 🧀", "q", `quote"d`}, "stint_info": {"1.0\"\\"}, "go_info": {runtime.Version()},
	} {
		var values []string
		for _, m := range families[name].GetMetric() {
			values = append(values, m.GetLabel()[0].GetValue())
		}
		slices.Sort(values)
		if !slices.Equal(values, want) {
			t.Errorf("%s has the values %q, want %q", name, values, want)
		}
	}
}

// However many jobs wait, those with the most runs in the queue have figures of their own.
func TestQueueFiguresOfJobsAreBounded(t *testing.T) {
	l := start(t, server.Config{})
	for i := range 25 {
		for range 1 + i/24 {
			l.submit(newID(), job.SubmitRequest{Job: fmt.Sprintf("j%02d", i), Command: &job.Spec{Version: job.SpecVersion, Args: []string{"true"}}}).created(t)
		}
	}
	text := string(l.get("/metrics").body)
	if n := strings.Count(text, "\nstint_queue_job_runs{"); n != 20 || !strings.Contains(text, "stint_queue_job_runs{job_name=\"j24\"} 2\n") || !strings.Contains(text, "stint_queue_job_oldest_seconds{job_name=\"j00\"}") {
		t.Errorf("%d jobs have figures", n)
	}
}
