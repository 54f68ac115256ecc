package agentcmd

import (
	"errors"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"stint.dev/stint/internal/agent/process"
	"stint.dev/stint/internal/cli/option"
)

func TestLimits(t *testing.T) {
	for _, tc := range []struct {
		flags, env  string
		memory, cpu string // what messages call them
		refused     string
	}{
		{"", "", "--memory-limit", "--cpu-limit", ""},
		{"--memory-limit 0 --cpu-limit 0", "", "--memory-limit 0", "--cpu-limit 0", ""},
		{"--memory-limit 4M --cpu-limit 0.01", "", "--memory-limit 4M", "--cpu-limit 0.01", ""},
		{"--cpu-limit 2", "STINT_MEMORY_LIMIT=1GiB", "STINT_MEMORY_LIMIT=1GiB", "--cpu-limit 2", ""},
		{"--memory-limit 4095K", "", "", "", "--memory-limit: 4095K is less than 4 MiB"},
		{"--memory-limit 10", "", "", "", "--memory-limit: 10 is less than 4 MiB"},
		{"", "STINT_MEMORY_LIMIT=100K", "", "", "STINT_MEMORY_LIMIT: 100K is less than 4 MiB"},
		{"--cpu-limit 0.009", "", "", "", "--cpu-limit: 0.009 is less than 0.01 cores"},
		{"", "STINT_CPU_LIMIT=1e-9", "", "", "STINT_CPU_LIMIT: 1e-9 is less than 0.01 cores"},
	} {
		flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
		opts := option.Register(flags, limitRows())
		if err := flags.Parse(strings.Fields(tc.flags)); err != nil {
			t.Fatal(err)
		}
		err := opts.Resolve(option.Environment(func(name string) string {
			value, _ := strings.CutPrefix(tc.env, name+"=")
			if value == tc.env {
				return ""
			}
			return value
		}))
		var o process.Options
		setLimits(&o, opts)
		var usage *option.UsageError
		switch {
		case tc.refused != "":
			if !errors.As(err, &usage) || !strings.HasPrefix(usage.Text, tc.refused) {
				t.Errorf("%+v: %v", tc, err)
			}
		case err != nil || o.MemoryLimitName != tc.memory || o.CPULimitName != tc.cpu:
			t.Errorf("%+v: %+v, %v", tc, o, err)
		}
	}
}
