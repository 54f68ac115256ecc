package e2e

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stint.dev/stint/internal/cli/example"
)

// notExecuted are the examples that have tests of their own, by their command, with the reason.
var notExecuted = map[string]string{
	"demo":                "takes a minute: TestDemo",
	"import healthchecks": "asks a Healthchecks: tests of package importcmd",
	"server":              "does not end: every test of this package starts one",
	"worker run":          "does not end: retry starts one here",
}

// prepare are commands for what an example needs, run before it.
var prepare = map[string]string{
	"acknowledge":       `! stint run --job backup -c 'echo ERROR: disk full; exit 1'`,
	"apply":             `mkdir -p jobs && cp nightly-report.yaml jobs/`,
	"cancel":            `stint run --quiet --print-run run.json --job train -- sleep 60 >out 2>&1 & until stint show train@running >out; do sleep 0.1; done`,
	"delete":            `stint run --job backup -- true; ! stint run --job backup -c 'echo ERROR: disk full; exit 1'`,
	"diff":              `stint apply nightly-report.yaml && sed 's/2h/3h/' nightly-report.yaml >jobs/nightly-report.yaml && stint apply jobs/`,
	"job delete":        `stint run --job old-job -- true`,
	"group delete":      `stint group set warehouse --limit 2`,
	"notify delete":     `stint notify set team --url $HOOK/`,
	"notify test":       `stint notify set team --url $HOOK/`,
	"queue move":        `for n in $(seq 12); do stint submit nightly-report --param DAY=2026-01-$(printf %02d "$n"); done`,
	"retry":             `stint worker run --name node7 --label gpu=true --allow-commands >out 2>&1 & ! stint submit nightly-report --param DAY=2026-03-01 --wait`,
	"server rotate-key": `stint server backup --data $DATA $PWD/copy`,
	"wait": `stint run --quiet --job train -- sleep 5 >out 2>&1 & stint run --quiet --job eval -- sleep 5 >out 2>&1 &
		until stint show train@running >out && stint show eval@running >out; do sleep 0.1; done`,
	"worker drain": `until stint worker list | grep node7; do sleep 0.1; done`,
}

// Every example of the reference does what it says: it ends with exit code 0.
func TestExamplesOfTheReference(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("the examples are lines of bash, which is not here")
	}
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(receiver.Close)
	s, h := startServer(t, "--allow-private-targets"), newHost(t)
	dir := writeFiles(t,
		"nightly-report.yaml", "job: nightly-report\nscript: test \"$DAY\" != 2026-03-01\nparameters:\n  - {name: DAY, type: date, default: yesterday}\n"+
			"limits: {timeout: 2h}\nschedules:\n  - {cron: '0 3 * * *', zone: Europe/Berlin}\n",
		"policy.yaml", "rules:\n  overdue: {limit: 1h}\n",
		"crontab", "SHELL=/bin/sh\n17 3 * * * root backup\n",
		"bin/python", "#!/bin/sh\n", "bin/npm", "#!/bin/sh\n", "bin/publish", "#!/bin/sh\n", "bin/zstd", "#!/bin/sh\nexec cat\n")
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // cron's shell must be one that every user can run
		t.Fatal(err)
	}
	programs := filepath.Join(dir, "bin")
	for name, target := range map[string]string{"stint": stint, "stint-sh": stint} {
		if err := os.Link(target, filepath.Join(programs, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"python", "npm", "publish", "zstd"} {
		if err := os.Chmod(filepath.Join(programs, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h.env = []string{
		"STINT_SERVER=" + s.url, "STINT_LISTEN=" + strings.TrimPrefix(s.url, "http://"), "HOOK=" + receiver.URL, "DATA=" + s.data,
		"HOME=" + dir, "PATH=" + programs + ":" + os.Getenv("PATH"), "XDG_CACHE_HOME=" + t.TempDir(),
	}
	bash := func(line string) result {
		cmd := h.command("bash", "-c", line)
		cmd.Dir = dir
		return finish(t, cmd)
	}
	t.Cleanup(func() { bash(`for pid in $(cat pids); do kill "$pid"; done`) })
	places := strings.NewReplacer("/var/lib/stint-server", s.data, "/backup/", dir+"/", "/etc/crontab", dir+"/crontab", "tar c /srv", "tar c jobs")
	lines := example.Lines()
	for path := range notExecuted {
		if lines[path] == nil {
			t.Errorf("there is no example of stint %s", path)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(lines)) {
		if notExecuted[path] != "" {
			continue
		}
		if before := prepare[path]; before != "" {
			if got := bash(before + "\ncode=$?; jobs -p >>pids; exit $code"); got.code != 0 {
				t.Fatalf("what stint %s needs: %+v", path, got)
			}
		}
		for _, line := range lines[path] {
			if path == "server rotate-key" {
				line = strings.ReplaceAll(line, "/var/lib/stint-server", dir+"/copy")
			}
			if got := bash(places.Replace(line)); got.code != 0 {
				t.Errorf("%s: %+v", line, got)
			}
		}
	}
}
