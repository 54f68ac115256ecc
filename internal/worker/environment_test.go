package worker

import (
	"slices"
	"testing"
)

func TestEnvironment(t *testing.T) {
	vars := map[string]string{
		"PATH": "/opt/bin:/bin", "HOME": "/wrong", "LANG": "C.UTF-8", "SECRET": "x", "STINT_TOKEN": "y", "NOTIFY_SOCKET": "z", "GPU": "0", "EMPTY": "",
	}
	getenv := func(name string) string { return vars[name] }
	a := Account{Name: "batch", Home: "/home/batch", Shell: "/bin/bash"}
	want := []string{"PATH=/opt/bin:/bin", "HOME=/home/batch", "USER=batch", "LOGNAME=batch", "SHELL=/bin/bash", "LANG=C.UTF-8", "GPU=0"}
	if got := Environment(getenv, a, []string{"GPU", "EMPTY", "NOT_THERE"}); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	want = []string{"PATH=" + defaultPath, "SHELL=/bin/sh"}
	if got := Environment(func(string) string { return "" }, Account{}, nil); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestShellOf(t *testing.T) {
	const passwd = "root:x:0:0:root:/root:/bin/bash\nbroken\nbatch:x:1000:1000::/home/batch:/usr/bin/zsh\nlast:x:1001:1001::/:"
	for uid, want := range map[string]string{"0": "/bin/bash", "1000": "/usr/bin/zsh", "1001": "", "7": ""} {
		if got := shellOf(passwd, uid); got != want {
			t.Errorf("%s: %q, want %q", uid, got, want)
		}
	}
}

func TestFreeFigures(t *testing.T) {
	for text, want := range map[string]int64{
		"MemTotal: 1 kB\nMemAvailable:    2048 kB\nBuffers: 1 kB\n": 2 << 20, "": 0, "MemAvailable: many kB\n": 0, "MemAvailable: -1 kB\n": 0,
	} {
		if got := memoryIn(text, "MemAvailable"); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
	for text, want := range map[string]float64{"0.50 0.1 0.1 1/2 3\n": 3.5, "9.0 1 1": 0} {
		if got := freeCPUs(text, 4); got == nil || *got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	for _, text := range []string{"", "x", "-1 1 1"} {
		if got := freeCPUs(text, 4); got != nil {
			t.Errorf("%q: %v free, want that it is not known", text, *got)
		}
	}
}
