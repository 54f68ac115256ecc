package server_test

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// expression is one of a dashboard or an alert.
type expression struct {
	where, expr string
	text        string // which may name labels
}

// alertFiles are the rules for Prometheus, with the least number of their alerts.
var alertFiles = map[string]int{"../../deploy/prometheus/alerts.yml": 9, "../../deploy/prometheus/jobs.yml": 3}

// alertQueries returns the expressions of all alerts.
func alertQueries(t *testing.T) (all []expression) {
	t.Helper()
	for file, least := range alertFiles {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var alerts struct {
			Groups []struct {
				Rules []struct {
					Alert, Expr string
					Annotations map[string]string
				}
			}
		}
		if err := yaml.Unmarshal(data, &alerts); err != nil || len(alerts.Groups) != 1 || len(alerts.Groups[0].Rules) < least {
			t.Fatalf("%s: %+v, %v", file, alerts, err)
		}
		for _, r := range alerts.Groups[0].Rules {
			all = append(all, expression{"alert " + r.Alert, r.Expr, strings.Join(slices.Collect(maps.Values(r.Annotations)), " ")})
		}
	}
	return all
}

// dashboardQueries returns the expressions of all dashboards.
func dashboardQueries(t *testing.T) (all []expression) {
	t.Helper()
	for file, least := range map[string]int{"../../deploy/grafana/stint.json": 10, "../../deploy/grafana/jobs.json": 12} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var board struct {
			Templating struct {
				List []struct {
					Name  string
					Query any
				}
			}
			Panels []struct {
				ID      int
				Title   string
				Targets []struct{ Expr, LegendFormat string }
			}
		}
		if err := json.Unmarshal(data, &board); err != nil || len(board.Panels) < least {
			t.Fatalf("%s has %d panels: %v", file, len(board.Panels), err)
		}
		ids := map[int]bool{}
		for _, p := range board.Panels {
			if ids[p.ID] {
				t.Errorf("%s: two panels have the id %d", file, p.ID)
			}
			ids[p.ID] = true
			for _, target := range p.Targets {
				all = append(all, expression{filepath.Base(file) + ", panel " + p.Title, target.Expr, target.LegendFormat})
			}
		}
		for _, v := range board.Templating.List {
			of, isQuery := v.Query.(map[string]any)
			if !isQuery {
				continue
			}
			found := regexp.MustCompile(`^label_values\((.+), ([a-z_]+)\)$`).FindStringSubmatch(of["query"].(string))
			if found == nil {
				t.Errorf("%s: the variable %s has the query %q", file, v.Name, of["query"])
				continue
			}
			all = append(all, expression{filepath.Base(file) + ", variable " + v.Name, found[1], "{{" + found[2] + "}}"})
		}
	}
	return all
}

var (
	metricName   = regexp.MustCompile(`\b(?:stint|process|go)_[a-z_]+\b`)
	selector     = regexp.MustCompile(`\b([a-z_]+)\{([^}]*)\}`)
	matcher      = regexp.MustCompile(`([a-z_]+) *(?:=~|!~|!=|=)`)
	grouping     = regexp.MustCompile(`\b(?:by|without|on|ignoring) *\(([^)]*)\)`)
	labelInText  = regexp.MustCompile(`(?:\{\{ *|\$labels\.)([a-z_]+)`)
	ofPrometheus = []string{"instance", "job"} // the labels that it adds
)

// The dashboards and the alerts ask only for metrics and labels that there are.
func TestDashboardsAndAlerts(t *testing.T) {
	shown := exposed(t)
	for _, q := range append(alertQueries(t), dashboardQueries(t)...) {
		names := metricName.FindAllString(selector.ReplaceAllString(q.expr, "$1"), -1)
		if len(names) == 0 && !strings.HasPrefix(q.expr, "up{") {
			t.Errorf("%s: no metric in %q", q.where, q.expr)
		}
		of := map[string]bool{} // the labels of all metrics
		for _, name := range names {
			if shown[name] == nil {
				t.Errorf("%s: the server does not show %s", q.where, name)
			}
			maps.Copy(of, shown[name])
		}
		for _, s := range selector.FindAllStringSubmatch(q.expr, -1) {
			for _, m := range matcher.FindAllStringSubmatch(s[2], -1) {
				if !shown[s[1]][m[1]] && !slices.Contains(ofPrometheus, m[1]) {
					t.Errorf("%s: %s has no label %s", q.where, s[1], m[1])
				}
			}
		}
		var used []string
		for _, g := range grouping.FindAllStringSubmatch(q.expr, -1) {
			used = append(used, strings.FieldsFunc(g[1], func(r rune) bool { return r == ',' || r == ' ' })...)
		}
		for _, l := range labelInText.FindAllStringSubmatch(q.text, -1) {
			used = append(used, l[1])
		}
		for _, label := range used {
			if !of[label] && !slices.Contains(ofPrometheus, label) {
				t.Errorf("%s: no metric of %q has the label %s", q.where, q.expr, label)
			}
		}
	}
}

// promtool runs the program that comes with Prometheus, in a directory.
func promtool(t *testing.T, dir string, args ...string) {
	t.Helper()
	program, err := exec.LookPath("promtool")
	if err != nil {
		program = "/var/cache/stint-tests/promtool"
		if _, err := os.Stat(program); err != nil {
			t.Skip("promtool is missing; scripts/setup fetches it")
		}
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %q: %v\n%s", args, err, out)
	}
}

// Prometheus itself reads the rules and the expressions of the dashboards, and the alerts about jobs fire when they should.
func TestAlertsInPrometheus(t *testing.T) {
	dir := t.TempDir()
	for _, file := range append(slices.Collect(maps.Keys(alertFiles)), "testdata/jobs_alerts_test.yml") {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	type rule struct {
		Record string `json:"record"`
		Expr   string `json:"expr"`
	}
	var rules []rule
	for _, q := range dashboardQueries(t) {
		rules = append(rules, rule{"a_panel", strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*", "$job_name", ".*").Replace(q.expr)})
	}
	panels, err := json.Marshal(map[string]any{"groups": []any{map[string]any{"name": "panels", "rules": rules}}}) // JSON is YAML
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "panels.yml"), panels, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, dir, "check", "rules", "--lint=none", "alerts.yml", "jobs.yml", "panels.yml")
	promtool(t, dir, "test", "rules", "jobs_alerts_test.yml")
}
