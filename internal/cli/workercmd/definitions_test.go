package workercmd

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stint.dev/stint/internal/definition"
	"stint.dev/stint/job"
)

const text = `job: report
command: [python, report.py]
dir: /srv/report
parameters:
  - {name: DAY, type: date}
`

func TestDefinitionsOnTheDisk(t *testing.T) {
	d, mistakes := definition.Parse([]byte(text), nil)
	if len(mistakes) > 0 {
		t.Fatal(mistakes)
	}
	canonical, err := d.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	claim := job.Claim{Job: "report", Definition: definition.Hash(canonical), Parameters: map[string]string{"DAY": "2026-11-27"}}
	for name, c := range map[string]struct {
		files  map[string]string
		change func(*job.Claim)
		says   string // empty for no error
	}{
		"the same":                  {map[string]string{"report.yaml": text}, func(*job.Claim) {}, ""},
		"in a file of another name": {map[string]string{"a.yml": text, "b.yaml": "broken: [", "notes.txt": "x"}, func(*job.Claim) {}, ""},
		"another version":           {map[string]string{"report.yaml": strings.Replace(text, "report.py", "other.py", 1)}, func(*job.Claim) {}, "is version"},
		"none":                      {map[string]string{"other.yaml": strings.Replace(text, "job: report", "job: other", 1)}, func(*job.Claim) {}, "has no definition of report"},
		"with mistakes":             {map[string]string{"report.yaml": "job: ["}, func(*job.Claim) {}, "report.yaml"},
		"an unknown parameter":      {map[string]string{"report.yaml": text}, func(c *job.Claim) { c.Parameters = map[string]string{"DAY": "2026-11-27", "LD_PRELOAD": "x"} }, "LD_PRELOAD"},
		"a wrong value":             {map[string]string{"report.yaml": text}, func(c *job.Claim) { c.Parameters = map[string]string{"DAY": "tomorrow"} }, "DAY"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range c.files {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			asked := claim
			c.change(&asked)
			spec, err := local(dir)(asked)
			if c.says == "" && (err != nil || !slices.Equal(spec.Args, []string{"python", "report.py"}) || spec.Env["DAY"] != "2026-11-27" || spec.Dir != "/srv/report") {
				t.Errorf("%+v, %v", spec, err)
			}
			if c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("%v, want %q", err, c.says)
			}
		})
	}
	if _, err := local(filepath.Join(t.TempDir(), "none"))(claim); err == nil {
		t.Error("a directory that is not there is no error")
	}
}
