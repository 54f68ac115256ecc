package gpu

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/job"
)

func percent(f float64) *float64 { return &f }

func TestParse(t *testing.T) {
	cases := []struct {
		name, answer string
		want         []job.GPU
		bad          bool
	}{
		{"two", "0, NVIDIA A100-SXM4-80GB, 87, 40960, 81920\n1, NVIDIA A100-SXM4-80GB, 0, 0, 81920\n", []job.GPU{
			{Index: 0, Name: "NVIDIA A100-SXM4-80GB", UtilizationPercent: percent(87), MemoryBytes: 40 << 30, MemoryTotalBytes: 80 << 30},
			{Index: 1, Name: "NVIDIA A100-SXM4-80GB", UtilizationPercent: percent(0), MemoryTotalBytes: 80 << 30},
		}, false},
		{"what is not reported is left out", "3, Orin (nvgpu), [N/A], [Not Supported], [N/A]\n", []job.GPU{{Index: 3, Name: "Orin (nvgpu)"}}, false},
		{"nonsense figures", "0, x, -1, NaN, 1e300\n", []job.GPU{{Index: 0, Name: "x"}}, false},
		{"none", "", nil, false},
		{"a message", "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n", nil, true},
		{"no devices", "No devices were found\n", nil, true},
		{"another form", "a, b, c, d, e\n", nil, true},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Parse([]byte(tc.answer))
			if (err != nil) != tc.bad {
				t.Errorf("error %v", err)
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("0, NVIDIA A100, 87, 40960, 81920\n"))
	f.Add([]byte("0, \"x\ny\", [N/A], 1e308, -1\n"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		all, err := Parse(answer)
		if err != nil && all != nil {
			t.Errorf("both %v and %v", all, err)
		}
		for _, g := range all {
			if g.Index < 0 || g.MemoryBytes < 0 || g.MemoryTotalBytes < 0 || len(g.Name) > maxName {
				t.Errorf("%+v", g)
			}
		}
	})
}
