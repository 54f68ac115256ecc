package rules

import (
	"testing"

	"pgregory.net/rapid"

	"stint.dev/stint/internal/policy"
	"stint.dev/stint/job"
)

// However memory goes up and down: a threshold is lowered only while what it begins holds,
// so that no finding begins below the figure of the policy.
func TestThresholdsOfMemoryAreLoweredOnlyForWhatHolds(t *testing.T) {
	p := policy.Default()
	rapid.Check(t, func(rt *rapid.T) {
		l, before := seen(), job.Health("")
		l.ExpiresAt = at(1e6)
		for range rapid.IntRange(1, 60).Draw(rt, "beats") {
			percent := rapid.Float64Range(80, 100).Draw(rt, "percent")
			used(percent)(&l)
			v, _ := Judge(l, noon, Circumstances{Since: at(-1000)}, p)
			f, _ := FindingOf(v.Findings, policy.Memory)
			near, critical := p.Memory.Percent, p.Memory.Critical
			if before != "" {
				near -= hysteresisPercent
			}
			if before == job.Critical {
				critical--
			}
			want := job.Health("")
			exact := float64(l.Evidence.Beat.MemoryBytes) * 100 / (1 << 30)
			switch {
			case exact >= critical:
				want = job.Critical
			case exact >= near:
				want = job.Warning
			}
			if f.Health != want {
				rt.Fatalf("%.2f %% after %q is %q, want %q", percent, before, f.Health, want)
			}
			l.Findings, l.Health, before = v.Findings, v.Health, f.Health
		}
	})
}
