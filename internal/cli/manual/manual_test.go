package manual_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"stint.dev/stint/internal/cli"
	"stint.dev/stint/internal/cli/manual"
	"stint.dev/stint/internal/cli/option"
)

var release = manual.Release{Version: "v1.2.3", Date: time.Date(2026, 11, 30, 23, 0, 0, 0, time.FixedZone("", -2*3600))}

// A page has what help says, and text that roff would take for its own stays text.
func TestPage(t *testing.T) {
	root := &cobra.Command{Use: "prog", Short: "Does things"}
	sub := &cobra.Command{
		Use: "sub [flags] FILE", Short: "Do one thing", Example: "  prog sub 'a'",
		Long: "First.\n.SH of no section, \\fBnot bold\\fR.\n\n  kept  as is\nAfter.",
		Run:  func(*cobra.Command, []string) {},
	}
	option.Register(sub.Flags(), []option.Option{
		{Name: "wait", Short: "w", Kind: option.Duration, Value: "D", Default: "5m", Help: "how long to wait"},
		{Name: "quick", Kind: option.Switch, FlagOnly: true, Help: "do it quickly"},
	})
	root.AddCommand(sub, &cobra.Command{Use: "inner", Hidden: true, Run: sub.Run})
	pages := manual.Pages(root, release)
	if names := slices.Sorted(maps.Keys(pages)); !slices.Equal(names, []string{"prog-sub.1", "prog.1"}) {
		t.Fatalf("pages: %q", names)
	}
	for _, want := range []string{
		".TH \"PROG\\-SUB\" 1 \"2026-12-01\" \"Stint v1.2.3\" \"Stint\"\n",
		"prog\\-sub \\- Do one thing\n", ".B prog sub [flags] FILE\n",
		"First.\n\\&.SH of no section, \\efBnot bold\\efR.\n.PP\n.nf\n  kept  as is\n.fi\nAfter.\n",
		".TP\n\\fB\\-w, \\-\\-wait\\fR \\fID\\fR\nhow long to wait [STINT_WAIT] (default 5m)\n",
		".TP\n\\fB\\-\\-quick\\fR\ndo it quickly\n", ".nf\n  prog sub \\(aqa\\(aq\n.fi\n",
		".SH EXIT STATUS\n.TP\n.B 0\n", ".SH SEE ALSO\n.BR prog (1)\n",
	} {
		if !strings.Contains(pages["prog-sub.1"], want) {
			t.Errorf("no %q in:\n%s", want, pages["prog-sub.1"])
		}
	}
	if p := pages["prog.1"]; !strings.Contains(p, ".SH COMMANDS\n.TP\n.B sub\nDo one thing\n") || strings.Contains(p, "inner") {
		t.Errorf("the page of the program:\n%s", p)
	}
}

// Every command that help lists has a page with each of its options, and a formatter finds nothing wrong.
func TestPagesOfPrograms(t *testing.T) {
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Log("groff is not here: the pages are not formatted")
	}
	for _, root := range cli.Programs("v1.2.3") {
		pages := manual.Pages(root, release)
		if len(pages) < 10 {
			t.Errorf("%s: %d pages", root.Name(), len(pages))
		}
		dir := t.TempDir()
		for name, text := range pages {
			cmd, _, err := root.Find(strings.Split(strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(name, root.Name()), "-"), ".1"), "-"))
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if cmd.Runnable() && !cmd.HasAvailableSubCommands() {
				cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
					if !f.Hidden && !strings.Contains(text, `\-\-`+strings.ReplaceAll(f.Name, "-", `\-`)+`\fR`) {
						t.Errorf("%s: --%s is not in it", name, f.Name)
					}
				})
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if groff != "" {
				out, err := exec.Command(groff, "-man", "-ww", "-k", "-Tutf8", "-z", filepath.Join(dir, name)).CombinedOutput()
				if err != nil || len(out) > 0 {
					t.Errorf("%s: %v\n%s", name, err, out)
				}
			}
		}
	}
}
