package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stint.dev/stint/job/api"
)

// writeFiles writes files into a new directory, by name and text.
func writeFiles(t *testing.T, pairs ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for i := 0; i+1 < len(pairs); i += 2 {
		file := filepath.Join(dir, pairs[i])
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(pairs[i+1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// wantResult checks exit code and output of a command: texts that stdout and stderr together have.
func wantResult(t *testing.T, got result, code int, has ...string) {
	t.Helper()
	if got.code != code {
		t.Errorf("exit code %d, want %d: %+v", got.code, code, got)
	}
	for _, text := range has {
		if !strings.Contains(got.stdout+got.stderr, text) {
			t.Errorf("%q is not in %+v", text, got)
		}
	}
}

const reportYAML = `# Orders of the day.
job: report
command: [python, report.py]
parameters:
  - {name: DAY, type: date, default: yesterday}
limits: {timeout: 2h}
`

func TestApplyDefinitions(t *testing.T) {
	s, h := startServer(t), newHost(t)
	dir := writeFiles(t, "report.yaml", reportYAML, "more/etl.yml", "job: etl\nscript: |\n  set -e\n  echo $DAY\n", "notes.txt", "not: a definition", ".hidden/x.yaml", "{")
	at := func(args ...string) []string { return append(args, "--server", s.url) }

	wantResult(t, h.run(at("apply", dir, "--source", "reports", "--dry-run")...), 0, "created    report", "created    etl", "dry run")
	wantResult(t, h.run(at("job", "export", "report")...), 1, "was not found")
	wantResult(t, h.run(at("apply", dir, "--source", "reports")...), 0, "created    report", "created    etl")
	if got := h.run(at("job", "export", "report")...); got.stdout != reportYAML {
		t.Errorf("exported %+v", got)
	}
	wantResult(t, h.run(at("apply", dir, filepath.Join(dir, "report.yaml"), "--source", "reports")...), 0, "2 definitions unchanged")

	changed := writeFiles(t, "report.yaml", strings.Replace(reportYAML, "2h", "3h", 1))
	wantResult(t, h.run(at("apply", changed)...), 0, "updated    report", "limits.timeout: 2h → 3h")
	wantResult(t, h.run(at("diff", "report")...), 0, "limits.timeout: 2h → 3h")
	versions := h.run(at("job", "versions", "report")...)
	wantResult(t, versions, 0, "VERSION", "now", "reports", "limits.timeout: 2h → 3h")
	var list struct{ Versions []api.DefinitionVersion }
	if err := json.Unmarshal([]byte(h.run(at("job", "versions", "report", "--json")...).stdout), &list); err != nil || len(list.Versions) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	first := list.Versions[1].Version
	wantResult(t, h.run(at("diff", "report", first[:6])...), 0, "limits.timeout: 2h → 3h")
	wantResult(t, h.run(at("diff", "report", list.Versions[0].Version, first)...), 0, "limits.timeout: 3h → 2h")
	if got := h.run(at("job", "export", "report", "--version", first[:6])...); got.stdout != reportYAML {
		t.Errorf("exported %+v", got)
	}

	wantResult(t, h.run(at("job", "pause", "report", "--why", "broken")...), 0, "report is paused")
	wantResult(t, h.run(at("apply", changed)...), 0, "1 definition unchanged")
	wantResult(t, h.run(at("job", "resume", "report")...), 0, "can be submitted again")

	only := writeFiles(t, "etl.yaml", "job: etl\nscript: x\n")
	wantResult(t, h.run(at("apply", only, "--prune")...), 2, "--source")
	wantResult(t, h.run(at("apply", only, "--source", "other")...), 1, `job "etl" belongs to the source "reports": --force overwrites that`)
	wantResult(t, h.run(at("apply", only, "--source", "reports", "--prune")...), 0, "updated    etl", "deleted    report")
	wantResult(t, h.run(at("job", "delete", "etl", "--definition")...), 0, "its runs stay")
	wantResult(t, h.run(at("job", "export", "etl")...), 1, "was not found")
}

// Every mistake of every file is reported as compilers do, and nothing is applied.
func TestMistakesOfAppliedFiles(t *testing.T) {
	s, h := startServer(t), newHost(t)
	dir := writeFiles(t, "a.yaml", "job: a\ncommand: ls -l\nenv: {1X: y}\n", "b.yaml", "job: b\nscript: x\n", "c.yaml", "job: c\nscript: &x y\n")
	got := h.run("apply", dir, "--server", s.url)
	a, c := filepath.Join(dir, "a.yaml"), filepath.Join(dir, "c.yaml")
	wantResult(t, got, 2, a+":2:10: command must be a list of words", a+`:3:7: "1X" is no name of a variable`, c+":2:9: here must be one plain value", "nothing was applied: 3 mistakes")
	wantResult(t, h.run("job", "export", "b", "--server", s.url), 1, "was not found")
	wantResult(t, h.run("apply", "--server", s.url), 2, "needs a FILE or DIR")
	wantResult(t, h.run("apply", filepath.Join(dir, "none.yaml"), "--server", s.url), 2, "none.yaml")
	wantResult(t, h.run("apply", writeFiles(t, "x.txt", ""), "--server", s.url), 1, "no file that ends in .yaml or .yml")
	large := writeFiles(t, "large.yaml", strings.Repeat("#", 10<<20))
	wantResult(t, h.run("apply", large, "--server", s.url), 2, "more than 262144 bytes")

	cmd := h.command(stint, "apply", "-", "--server", s.url)
	cmd.Stdin = strings.NewReader("job: piped\nscript: x\n")
	wantResult(t, finish(t, cmd), 0, "created    piped")
	wantResult(t, h.run("schema", "definition"), 0, `"$schema"`, `"parameters"`)
}
