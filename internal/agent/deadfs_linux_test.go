package agent

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/agent/environment"
	"stint.dev/stint/internal/agent/retry"
	"stint.dev/stint/internal/faulttest/deadfs"
	"stint.dev/stint/job"
)

// A state directory that does not answer holds up neither the job nor the end.
func TestStateDirectoryThatDoesNotAnswer(t *testing.T) {
	dir, _ := deadfs.Mount(t)
	for name, with := range map[string]func(*Config){
		"alone":   func(*Config) {},
		"retries": func(c *Config) { c.Retry = retry.Policy{Most: 1, Backoff: time.Millisecond} },
		"install cache": func(c *Config) {
			c.Install, c.InstallCache, c.CacheDirs = []string{"true"}, []string{"lock"}, []string{"made"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := attemptsServer{newMemoryServer()}
			c, messages := config(t, s, "echo ran >> ran; exit 3")
			c.StateDir, c.DirPath = filepath.Join(dir, "state"), c.Dir
			with(&c)
			done := make(chan Result, 1)
			go func() { done <- Supervise(t.Context(), c) }()
			got := result(t, done)
			attempts := 1 + c.Retry.Most
			if ran := readAll(t, c.Dir+"/ran"); got.ExitCode != 3 || strings.Count(ran, "ran") != attempts || !got.Complete {
				t.Errorf("%+v, ran %q", got, ran)
			}
			if text := messages.text(); !strings.Contains(text, "does not answer") {
				t.Errorf("messages %q", text)
			}
		})
	}
}

// What else the agent reads beside the job may be on a file system that does not answer:
// the job runs and ends as without it.
func TestBesidesThatDoNotAnswer(t *testing.T) {
	dead, _ := deadfs.Mount(t)
	for name, set := range map[string]func(t *testing.T, c *Config){
		"path in a variable that looks secret": func(_ *testing.T, c *Config) {
			c.Env = append(c.Env, "API_TOKEN="+dead+"/token", "OTHER_TOKEN="+dead+"/other")
		},
		"directory of the PATH": func(_ *testing.T, c *Config) {
			c.Args[0] = "/bin/sh"
			c.Env = append(environment.Without(c.Env, []string{"PATH"}), "PATH="+dead+":/usr/bin:/bin")
		},
		"socket of the manager of the agent": func(_ *testing.T, c *Config) {
			c.Env = append(c.Env, "NOTIFY_SOCKET="+dead+"/notify")
		},
		"directory for temporary files": func(t *testing.T, c *Config) {
			t.Setenv("TMPDIR", dead)
			c.StateDir = ""
		},
		"word of an install step": func(_ *testing.T, c *Config) {
			c.Install = []string{"true " + dead + "/requirements.txt"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newMemoryServer()
			c, messages := config(t, s, "/bin/sleep 0.4; echo ran $API_TOKEN; exit 3")
			set(t, &c)
			done := make(chan Result, 1)
			go func() { done <- Run(t.Context(), c) }()
			got := result(t, done)
			last := 0
			if len(c.Install) > 0 {
				last = 1
			}
			out := string(s.read(t, testRun).output[streamKey{last, job.Stdout}])
			if got.ExitCode != 3 || !got.Complete || !strings.HasPrefix(out, "ran") || strings.Contains(out, dead) {
				t.Errorf("%+v, printed %q, messages %s", got, out, messages.text())
			}
		})
	}
}
