package process

import (
	"os"
	"os/exec"
	"testing"

	"stint.dev/stint/internal/agent/process/contain"
)

// What containment adds to the start and end of the shortest of jobs: compare with
// BenchmarkPlain of the same run.
func BenchmarkContained(b *testing.B) {
	for _, level := range []string{contain.LevelCgroup2, contain.LevelCgroup1, contain.LevelProcessGroup} {
		b.Run(level, func(b *testing.B) {
			for b.Loop() {
				g, err := Contain(Options{Run: testRun(), Attempt: 1, AtMost: level})
				if err != nil {
					b.Fatal(err)
				}
				if g.Level() != level {
					b.Skipf("this host and user get %s, not %s", g.Level(), level)
				}
				p, err := g.Start(Spec{Args: []string{"/bin/true"}, Env: os.Environ()})
				if err != nil {
					b.Fatal(err)
				}
				p.Exit()
				if err := g.Empty(b.Context()); err != nil {
					b.Fatal(err)
				}
				if err := g.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPlain(b *testing.B) {
	for b.Loop() {
		if err := exec.Command("/bin/true").Run(); err != nil {
			b.Fatal(err)
		}
	}
}
