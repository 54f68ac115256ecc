package procfs

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const statText = "4 (a) (b c) S 1 22 23 0 -1 4194560 5 6 7 8 900 100 30 20 20 0 3 0 12345 1000000 250 184467440 1 1\n"

func TestParseStat(t *testing.T) {
	var s Stat
	if err := ParseStat([]byte(statText), &s); err != nil {
		t.Fatal(err)
	}
	want := Stat{PID: 4, PPID: 1, PGRP: 22, Session: 23, State: 'S', UTime: 900, STime: 100, CUTime: 30, CSTime: 20, Threads: 3, StartedTicks: 12345, RSSPages: 250}
	want.SetName("a) (b c")
	if diff := cmp.Diff(want, s, cmp.AllowUnexported(Stat{})); diff != "" {
		t.Error(diff)
	}
	if s.CPUTicks() != 1050 || s.Dead() {
		t.Errorf("%d ticks, dead %v", s.CPUTicks(), s.Dead())
	}
	for _, bad := range []string{"", "4", "4 (a", "4 (a)", "4 (a) S", "x (a) S 1", "4 (a) Sleeping 1 2 3", statText[:40]} {
		if ParseStat([]byte(bad), &s) == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestValue(t *testing.T) {
	text := "low 0\noom 3\noom_kill 2\nrbytes: 77\nhuge 9223372036854775807\nover 9223372036854775808\nlast 5"
	for key, want := range map[string]int64{"oom": 3, "oom_kill": 2, "low": 0, "rbytes": 77, "huge": math.MaxInt64, "last": 5} {
		if got, ok := Value([]byte(text), key); !ok || got != want {
			t.Errorf("%s: %d, %v", key, got, ok)
		}
	}
	for _, key := range []string{"oom_", "kill", "over", "none"} {
		if got, ok := Value([]byte(text), key); ok {
			t.Errorf("%s: %d", key, got)
		}
	}
}

func TestSmallFiles(t *testing.T) {
	if n, ok := Number([]byte("4096\n")); !ok || n != 4096 {
		t.Error(n, ok)
	}
	if _, ok := Number([]byte("max\n")); ok {
		t.Error("max is a number")
	}
	if diff := cmp.Diff([]int{1, 20, 3}, PIDs(nil, []byte("1\n20\n-4\nx\n3\n0\n"))); diff != "" {
		t.Error(diff)
	}
	if p, ok := Pressure([]byte("some avg10=1.25 avg60=0.00 avg300=0.00 total=5\nfull avg10=0.50 avg60=0 avg300=0 total=1\n")); !ok || p != 1.25 {
		t.Error(p, ok)
	}
	r, w := IOStat([]byte("8:0 rbytes=10 wbytes=20 rios=1 wios=2\n8:16 rbytes=1 wbytes=2\n"))
	if r != 11 || w != 22 {
		t.Error(r, w)
	}
	env := []byte("A=1\x00STINT_RUN_ID=ab\x00B=2\x00")
	if !HasEnv(env, "STINT_RUN_ID=ab") || HasEnv(env, "STINT_RUN_ID=a") || HasEnv(env, "RUN_ID=ab") {
		t.Error("environment")
	}
}

func TestMounts(t *testing.T) {
	text := "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n" +
		"32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n" +
		"41 31 0:38 /docker/abc /sys/fs/cgroup/uni\\040fied rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n" +
		"broken line\n"
	mounts := CgroupMounts(text)
	want := []Mount{
		{Point: "/sys/fs/cgroup/cpu,cpuacct", Root: "/", Controllers: []string{"rw", "cpu", "cpuacct"}},
		{Point: "/sys/fs/cgroup/uni fied", Root: "/docker/abc", V2: true},
	}
	if diff := cmp.Diff(want, mounts); diff != "" {
		t.Fatal(diff)
	}
	for path, want := range map[string]string{"/docker/abc": "/sys/fs/cgroup/uni fied", "/docker/abc/x": "/sys/fs/cgroup/uni fied/x", "/docker/abcd": "", "/": ""} {
		if got, ok := mounts[1].Dir(path); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v", path, got, ok)
		}
	}
	own := "4:memory:/a:b\n2:cpu,cpuacct:/c\n0::/u\n"
	for controller, want := range map[string]string{"memory": "/a:b", "cpuacct": "/c", "": "/u"} {
		if got, ok := OwnCgroup(own, controller); !ok || got != want {
			t.Errorf("%s: %q", controller, got)
		}
	}
	if _, ok := OwnCgroup(own, "pids"); ok {
		t.Error("pids found")
	}
}

func TestHidesProcesses(t *testing.T) {
	const plain = "22 1 0:21 / /proc rw,nosuid,nodev - proc proc rw\n"
	hiding := func(option string) string { return "41 22 0:50 / /proc rw,relatime - proc proc rw," + option + "\n" }
	for text, want := range map[string]bool{
		"":                              false,
		plain:                           false,
		hiding("hidepid=1"):             true,
		hiding("gid=7,hidepid=2"):       true,
		hiding("hidepid=invisible"):     true,
		hiding("hidepid=ptraceable"):    true,
		hiding("hidepid=0"):             false,
		hiding("hidepid=off"):           false,
		plain + hiding("hidepid=2"):     true,
		hiding("hidepid=2") + plain:     false,
		"broken\n" + hiding("hidepid="): true,
		"41 22 0:50 / /mnt/proc rw - proc proc rw,hidepid=2\n":      false,
		"41 22 0:50 / /proc rw - tmpfs tmpfs rw,hidepid=2\n":        false,
		"41 22 0:50 / /proc rw shared:9 - proc none rw,hidepid=4\n": true,
	} {
		if got := HidesProcesses(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestParseOOMKill(t *testing.T) {
	record := "6,1234,567890123,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/x/stint-r.1,task_memcg=/x/stint-r.1,task=python,pid=412,uid=0\n SUBSYSTEM=x\n"
	kill, ok := ParseOOMKill(record)
	if want := (OOMKill{Task: "python", PID: 412, Memcg: "/x/stint-r.1", Micros: 567890123}); !ok || kill != want {
		t.Errorf("%+v, %v", kill, ok)
	}
	for _, other := range []string{"", "6,1,2,-;usb 1-1: new device", "oom-kill:pid=1", "6,1,2,-;oom-kill:pid=x"} {
		if _, ok := ParseOOMKill(other); ok {
			t.Errorf("%q is a kill", other)
		}
	}
}

func FuzzParsers(f *testing.F) {
	f.Add([]byte(statText))
	f.Add([]byte("6,1,2,-;oom-kill:pid=1\n0::/x\n some avg10=1 a 5\n41 31 0:38 / /x\\04 rw - cgroup2 a b"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s Stat
		if ParseStat(b, &s) == nil && (s.PID < 0 || s.RSSPages < 0 || s.Threads < 0 || len(s.Name()) > 16) {
			t.Errorf("%+v", s)
		}
		if n, ok := Value(b, "a"); ok && n < 0 {
			t.Error(n)
		}
		if p, ok := Pressure(b); ok && !(p >= 0 && p <= 100) {
			t.Error(p)
		}
		for _, pid := range PIDs(nil, b) {
			if pid <= 0 {
				t.Error(pid)
			}
		}
		if r, w := IOStat(b); r < 0 || w < 0 {
			t.Error(r, w)
		}
		ParseOOMKill(string(b))
		OwnCgroup(string(b), "")
		HidesProcesses(string(b))
		for _, m := range CgroupMounts(string(b)) {
			m.Dir("/a/b")
		}
	})
}
