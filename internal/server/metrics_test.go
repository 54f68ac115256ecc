package server_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"stint.dev/stint/internal/server"
	"stint.dev/stint/job"
)

// families are the metrics that a server shows, after one of everything that makes one.
func families(t *testing.T) map[string]bool {
	t.Helper()
	l := start(t, server.Config{})
	s := newSketch(t, "j", nil).command().output("x\n").finish(0)
	path := "/api/v1/runs/" + s.id + "/attempts/1/journal?offset="
	l.do("POST", path+"7", s.bytes())
	l.do("POST", path+"0", s.bytes()).ok(t, nil)
	l.submit(newID(), job.SubmitRequest{Job: "q", Command: &job.Spec{Version: job.SpecVersion, Args: []string{"true"}}}).created(t)
	out := map[string]bool{}
	for _, line := range strings.Split(string(l.get("/metrics").body), "\n") {
		name := regexp.MustCompile(`^[a-z_]+`).FindString(line)
		if name != "" {
			out[name] = true
		}
	}
	return out
}

var metricName = regexp.MustCompile(`\b(stint|process|go)_[a-z_]+\b`)

func TestMetricsAreDocumented(t *testing.T) {
	shown := families(t)
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("\\| `(stint_[a-z_]+)").FindAllStringSubmatch(string(page), -1) {
		documented[m[1]] = true
		if !shown[m[1]] && !shown[m[1]+"_bucket"] {
			t.Errorf("docs/metrics.md names %s, which the server does not show", m[1])
		}
	}
	for name := range shown {
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if base := strings.TrimSuffix(name, suffix); shown[base+"_bucket"] {
				name = base
			}
		}
		if strings.HasPrefix(name, "stint_") && !documented[name] {
			t.Errorf("%s is not in docs/metrics.md", name)
		}
	}
}

// The dashboard and the alerts ask only for what there is.
func TestDashboardAndAlerts(t *testing.T) {
	shown := families(t)
	check := func(where, expr string) {
		if len(metricName.FindAllString(expr, -1)) == 0 && !strings.HasPrefix(expr, "up{") {
			t.Errorf("%s: no metric in %q", where, expr)
		}
		for _, name := range metricName.FindAllString(expr, -1) {
			if !shown[name] {
				t.Errorf("%s: the server does not show %s", where, name)
			}
		}
	}
	data, err := os.ReadFile("../../deploy/grafana/stint.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(data, &board); err != nil || len(board.Panels) < 10 {
		t.Fatalf("the dashboard has %d panels: %v", len(board.Panels), err)
	}
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			check("panel "+p.Title, target.Expr)
		}
	}
	if data, err = os.ReadFile("../../deploy/prometheus/alerts.yml"); err != nil {
		t.Fatal(err)
	}
	var alerts struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal(data, &alerts); err != nil || len(alerts.Groups) != 1 || len(alerts.Groups[0].Rules) < 5 {
		t.Fatalf("alerts: %+v, %v", alerts, err)
	}
	for _, r := range alerts.Groups[0].Rules {
		check("alert "+r.Alert, r.Expr)
	}
}

// Each metric is explained and has a type where it is read.
func TestMetricsHaveHelpAndType(t *testing.T) {
	l := start(t, server.Config{})
	l.submit(newID(), job.SubmitRequest{Job: "q", Command: &job.Spec{Version: job.SpecVersion, Args: []string{"true"}}}).created(t)
	lines := strings.Split(string(l.get("/metrics").body), "\n")
	families := 0
	for i, line := range lines {
		family, isType := strings.CutPrefix(line, "# TYPE stint_")
		if !isType {
			continue
		}
		families++
		family, _, _ = strings.Cut(family, " ")
		if i == 0 || !regexp.MustCompile(`^# HELP stint_`+family+` [A-Z0-9].*\.$`).MatchString(lines[i-1]) {
			t.Errorf("before %q comes %q", line, lines[max(0, i-1)])
		}
		if i+1 < len(lines) && !strings.HasPrefix(lines[i+1], "stint_"+family) && family != "troubled_items" && family != "item_failures_total" {
			t.Errorf("after %q comes %q", line, lines[i+1])
		}
	}
	if families < 30 {
		t.Errorf("only %d families", families)
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
