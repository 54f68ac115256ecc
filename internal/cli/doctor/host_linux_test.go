package doctor

import (
	"os"
	"testing"

	"stint.dev/stint/internal/agent/process/contain"
)

func TestPipesFinding(t *testing.T) {
	cases := []struct {
		name        string
		most, pages int64
		root        bool
		level       string
		detail      string
	}{
		{"the kernel's defaults", 1 << 20, 16384, false, "ok", "32 jobs"},
		{"no limit of pages", 1 << 20, 0, false, "ok", "1 MiB"},
		{"few pages", 1 << 20, 1024, false, "warning", "2 jobs"},
		{"small pipes", 64 << 10, 16384, false, "warning", "64 KiB"},
		{"root is not bound", 64 << 10, 1, true, "ok", "1 MiB"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			wantFinding(t, pipesFinding(tc.most, tc.pages, tc.root), tc.level, tc.detail)
		})
	}
	if got := checkPipes(); got.Check != "pipes" || got.Detail == "" {
		t.Errorf("here: %+v", got)
	}
}

func TestBetterContainment(t *testing.T) {
	if better(contain.LevelCgroup2) != "" || better(contain.LevelCgroup1) == "" || better(contain.LevelProcessGroup) == "" {
		t.Error("advice stands where none is needed, or is missing")
	}
}

func TestUserTasks(t *testing.T) {
	p, err := os.StartProcess("/bin/sleep", []string{"sleep", "60"}, &os.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = p.Kill()
		_, _ = p.Wait()
	}()
	if n := userTasks(); n < 1 {
		t.Errorf("%d processes and threads", n)
	}
	const status = "Name:\tThreads: 9\nUid:\t7\t8\t8\t8\nThreads:\t12\n"
	if uid, threads, none := statusNumber([]byte(status), "Uid:"), statusNumber([]byte(status), "Threads:"), statusNumber([]byte(status), "Gid:"); uid != 7 || threads != 12 || none != -1 {
		t.Errorf("uid %d, %d threads, %d", uid, threads, none)
	}
}
