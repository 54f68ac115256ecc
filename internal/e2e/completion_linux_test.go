package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// shells are how a person works in each shell: with the script of completion, and a function in place of stint that prints
// its arguments. Completion runs the program itself.
var shells = map[string]struct{ file, setup string }{
	"bash": {"bashrc", `PS1='ready> '
source <(stint completion bash)
stint() { printf '<%s>' "$@"; echo; }
`},
	"zsh": {".zshrc", `PS1='ready> '
autoload -Uz compinit && compinit -u -D
source <(stint completion zsh)
stint() { printf '<%s>' "$@"; echo; }
`},
	"fish": {"config.fish", `function fish_prompt; echo 'ready> '; end
function fish_greeting; end
stint completion fish | source
function stint; printf '<%s>' $argv; echo; end
`},
}

// TestCompletion types lines in real shells, completes them with Tab, and runs what is then on the line.
func TestCompletion(t *testing.T) {
	s, h := startServer(t), newHost(t)
	for _, args := range [][]string{
		{"--job", "nightly-backup", "--label", `note=it's a "day"`},
		{"--job", "pay.day", "--label", "team=réd ops"},
	} {
		if r := h.run(append(append([]string{"run", "--server", s.url}, args...), "--", "true")...); r.code != 0 {
			t.Fatalf("stint run %q: %+v", args, r)
		}
	}
	for shell, of := range shells {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			path, err := exec.LookPath(shell)
			if err != nil {
				if os.Getenv("CI") == "true" {
					t.Fatal(err)
				}
				t.Skipf("%s is not here: scripts/setup installs it", shell)
			}
			home := t.TempDir()
			file := filepath.Join(home, of.file)
			if shell == "fish" {
				file = filepath.Join(home, "fish", of.file)
			}
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(of.setup), 0o644); err != nil {
				t.Fatal(err)
			}
			args := []string{"-i"}
			if shell == "bash" {
				args = []string{"--rcfile", file, "-i"}
			}
			screen, tty := terminal(t)
			cmd := h.command(path, args...)
			cmd.Env = append(cmd.Env, "HOME="+home, "ZDOTDIR="+home, "XDG_CONFIG_HOME="+home, "TERM=xterm", "LANG=C.UTF-8", "STINT_SERVER="+s.url,
				"PATH="+filepath.Dir(stint)+":"+os.Getenv("PATH"))
			inTerminal(cmd, tty)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			tty.Close()
			seen := watchScreen(screen)
			for n, step := range []struct{ typed, want string }{
				{"stint lo\tx", "<logs><x>"},
				{"stint logs night\t", "<logs><nightly-backup"},
				{"stint logs nightly-backup#\t", "<logs><nightly-backup#1>"},
				{`stint runs --label note=it\t`, `<runs><--label><note=it's a "day">`},
				{`stint runs --label=note=it\t`, `<runs><--label=note=it's a "day">`},
				{`stint runs --label team=re\t`, `<runs><--label><team=re>`},
				{"stint show pay.day@fa\t", "<show><pay.day@failed>"},
				{"stint runs --state succ\t", "<runs><--state><succeeded>"},
				{"stint runs --label x'$(touch " + home + "/evil)' --sta\tfailed", "<--state><failed>"},
				{"stint runs --label $(touch " + home + "/run) --sta\t" + "\x15stint end", "<end>"},
			} {
				eventually(t, "the shell is ready", func() bool { return strings.Count(seen.all(), "ready> ") > n })
				typed := strings.ReplaceAll(step.typed, `\t`, "\t")
				if _, err := screen.WriteString(typed + "\r"); err != nil {
					t.Fatal(err)
				}
				eventually(t, step.typed+" becomes "+step.want+"; seen: "+seen.all(), seen.has(step.want))
			}
			for _, made := range []string{"evil", "run"} {
				if _, err := os.Stat(filepath.Join(home, made)); err == nil {
					t.Error("completion ran what was typed:", made)
				}
			}
			if _, err := screen.WriteString("exit\r"); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err != nil && cmd.ProcessState.ExitCode() != 0 {
				t.Logf("%s: %v", shell, err)
			}
			screen.Close()
		})
	}
}
