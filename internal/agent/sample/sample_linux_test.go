package sample

import (
	"context"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"stint.dev/stint/internal/agent/process"
	"stint.dev/stint/internal/agent/process/contain"
	"stint.dev/stint/job"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testRun = "0193c000-0000-7000-9000-000000000001"

func contained(t testing.TB, o process.Options) *process.Group {
	t.Helper()
	o.Run, o.Attempt = testRun, os.Getpid()
	g, err := process.Contain(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Kill(); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second) // t's own has ended
		defer cancel()
		if err := g.Empty(ctx); err != nil {
			t.Error(err)
		}
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// script is a shell whose output shows where it is: next waits for the next line it prints.
type script struct {
	t testing.TB
	*process.Process
	out *os.File
	in  *os.File
}

func run(t testing.TB, g *process.Group, text string) script {
	t.Helper()
	outR, outW, err1 := os.Pipe()
	inR, inW, err2 := os.Pipe()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	p, err := g.Start(process.Spec{Args: []string{"sh", "-c", text}, Env: os.Environ(), Stdin: inR, Stdout: outW})
	outW.Close()
	inR.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { outR.Close(); inW.Close() })
	return script{t, p, outR, inW}
}

func (s script) next() {
	s.t.Helper()
	var b [1]byte
	if _, err := io.ReadFull(s.out, b[:]); err != nil {
		s.t.Fatal(err)
	}
}

func (s script) goOn() {
	s.t.Helper()
	if _, err := io.WriteString(s.in, "\n"); err != nil {
		s.t.Fatal(err)
	}
}

func eachLevel(t *testing.T, f func(t *testing.T, g *process.Group)) {
	for _, level := range []string{contain.LevelCgroup2, contain.LevelCgroup1, contain.LevelProcessGroup} {
		t.Run(level, func(t *testing.T) {
			g := contained(t, process.Options{AtMost: level})
			t.Logf("wanted %s, got %s", level, g.Level())
			f(t, g)
		})
	}
}

func take(t testing.TB, r *Reader, now time.Time) job.Sample {
	t.Helper()
	s, err := r.Sample(now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The job burns CPU in children that end before anybody samples them, then holds memory in
// a child.
func TestSampleSeesTheWholeTree(t *testing.T) {
	eachLevel(t, func(t *testing.T, g *process.Group) {
		r := New(g)
		defer r.Close()
		now := time.Now()
		before := take(t, r, now)
		if before.Processes != 0 || before.CPUSeconds > 0.05 {
			t.Errorf("before the start: %+v", before)
		}
		j := run(t, g, `for i in 1 2 3; do sh -c 'i=0; while [ $i -lt 150000 ]; do i=$((i+1)); done'; done
			printf x; read l
			head -c 50000000 /dev/zero | tail -c 50000000 | { head -c 1; printf x; exec sleep 1000; } & read l; printf x; read l`)
		j.next()
		burned := take(t, r, now.Add(time.Second))
		if burned.CPUSeconds < 0.05 || burned.CPUCores < 0.05 {
			t.Errorf("the ended children's CPU is missing: %+v", burned)
		}
		if burned.Processes != 1 || burned.Threads != 1 {
			t.Errorf("one shell should live: %+v", burned)
		}
		j.goOn()
		j.next() // the NUL of head
		j.next()
		held := take(t, r, now.Add(6*time.Second))
		if held.Processes < 2 || held.CPUSeconds < burned.CPUSeconds {
			t.Errorf("second reading: %+v", held)
		}
		if most := max(held.MemoryBytes, held.PeakBytes); most < 45_000_000 || most > 200_000_000 {
			t.Errorf("50 MB are held, the sample says %d now, %d at most", held.MemoryBytes, held.PeakBytes)
		}
		j.goOn()
		j.next()
		j.goOn()
		exit := j.Exit()
		end := take(t, r, now.Add(7*time.Second))
		if end.CPUSeconds < exit.CPUSeconds*0.98-0.02 || end.CPUSeconds < held.CPUSeconds {
			t.Errorf("at the end %g s, the kernel says %g s", end.CPUSeconds, exit.CPUSeconds)
		}
	})
}

func TestSampleCountsWhatIsWritten(t *testing.T) {
	file := t.TempDir() + "/out"
	eachLevel(t, func(t *testing.T, g *process.Group) {
		r := New(g)
		defer r.Close()
		j := run(t, g, `dd if=/dev/zero of=`+file+` bs=65536 count=64 conv=fsync 2>/dev/null; printf x; read l`)
		j.next()
		s := take(t, r, time.Now())
		j.goOn()
		j.Exit()
		end := take(t, r, time.Now())
		if s.WriteBytes < 4<<20 || end.WriteBytes < s.WriteBytes {
			t.Errorf("4 MiB were written; the samples say %d, then %d", s.WriteBytes, end.WriteBytes)
		}
	})
}

func BenchmarkSample(b *testing.B) {
	for _, level := range []string{contain.LevelCgroup2, contain.LevelCgroup1, contain.LevelProcessGroup} {
		for _, n := range []string{"1", "50", "500"} {
			b.Run(level+"/processes="+n, func(b *testing.B) {
				g := contained(b, process.Options{AtMost: level})
				if g.Level() != level {
					b.Skipf("this host and user get %s, not %s", g.Level(), level)
				}
				j := run(b, g, `i=1; while [ $i -lt `+n+` ]; do sleep 1000 & i=$((i+1)); done; printf x; read l`)
				j.next()
				r := New(g)
				defer r.Close()
				now, used := time.Now(), ownCPU(b)
				for b.Loop() {
					if _, err := r.Sample(time.Now()); err != nil {
						b.Fatal(err)
					}
				}
				used = ownCPU(b) - used
				s := take(b, r, now)
				b.ReportMetric(float64(used.Nanoseconds())/float64(b.N), "cpu-ns/op")
				b.ReportMetric(float64(used.Nanoseconds())/float64(b.N)/float64(s.Processes), "cpu-ns/process")
			})
		}
	}
}

// ownCPU is the CPU time of this process: on a busy machine it says more than the clock.
func ownCPU(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func TestReclaimable(t *testing.T) {
	for _, c := range []struct {
		name, stat string
		v2         bool
		want       int64
	}{
		{"v2", "anon 9\nfile 1000\nshmem 100\nfile_dirty 30\nfile_writeback 20\ninactive_anon 7\nactive_file 500\ninactive_file 400\n", true, 850},
		{"v1", "cache 1\nactive_file 1\ntotal_dirty 30\ntotal_writeback 20\ntotal_inactive_file 400\ntotal_active_file 500\n", false, 850},
		{"all of it dirty", "file_dirty 900\nactive_file 300\ninactive_file 300\n", true, 0},
		{"an old kernel", "total_inactive_file 400\n", false, 400},
		{"nothing", "", true, 0},
	} {
		if got := reclaimable([]byte(c.stat), c.v2); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestDetailsAreReadAgain(t *testing.T) {
	d := detail{reclaimable: 40, limit: 100}
	for _, c := range []struct {
		before, usage int64
		want          bool
	}{
		{100, 100, false},
		{1600, 1601, true}, // in the last quarter of the limit
		{64, 65, false},    // far from it
		{64, 69, true},     // by more than a sixteenth
		{64, 59, true},
	} {
		if got := d.isOld(c.before, c.usage); got != c.want {
			t.Errorf("from %d to %d: %v", c.before, c.usage, got)
		}
	}
}

// What a job reads and writes is in the cache of files, and no memory that it uses.
func TestFileCacheIsNotInUse(t *testing.T) {
	file := t.TempDir() + "/big"
	eachLevel(t, func(t *testing.T, g *process.Group) {
		if g.CgroupDir("memory") == "" && g.CgroupDir("cgroup2") == "" {
			t.Logf("this level has no memory account: sizes of processes are summed up, which have no cache")
		}
		r := New(g)
		defer r.Close()
		j := run(t, g, `dd if=/dev/zero of=`+file+` bs=1M count=64 conv=fsync 2>/dev/null; cat `+file+` `+file+` >/dev/null; printf x; read l; rm `+file)
		j.next()
		s := take(t, r, time.Now())
		j.goOn()
		j.Exit()
		if s.MemoryBytes > 24<<20 {
			t.Errorf("%d bytes in use after a file of 64 MiB was read (cache %d, peak with cache %d)", s.MemoryBytes, s.CacheBytes, s.PeakBytes)
		}
		if s.PeakBytes > 0 && s.PeakBytes < 64<<20 {
			t.Errorf("the peak with cache is %d", s.PeakBytes)
		}
	})
}
