// Package faulttest proves delivery under faults: it drives the real programs with a job
// whose output can be verified, over random schedules of whatever can go wrong, and then
// looks at every byte, at the outcome, and for what was left behind.
//
//	go test ./internal/faulttest -run TestSchedules -args -schedules 12
//	go test ./internal/faulttest -run TestSchedules -v -args -seed N -schedules 1   # replay one
//
// As root it works in a mount and a network namespace of its own, which vanish with it;
// without these rights it leaves out the faults that need them, and says so.
package faulttest

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	firstSeed   = flag.Uint64("seed", 0, "seed of the first schedule; 0: one from the clock. The next ones follow it")
	schedules   = flag.Int("schedules", 12, "how many schedules to play")
	sideBySide  = flag.Int("side", 4, "how many of them at the same time")
	withClock   = flag.Bool("clock", false, "set clocks too (builds the programs a second time, with another package time)")
	raceBuilt   = flag.Bool("race-programs", false, "build the programs with the race detector")
	keepDirs    = flag.Bool("keep", false, "keep the directories of schedules that failed")
	alive       = flag.Bool("alive", false, "play TestLiveAgentsAreNotLost and TestKilledAgentsAreLostSoon in full")
	shortJobs   = flag.Int("jobs", 60, "how many short jobs TestShortJobs runs in each of its rounds")
	hangFor     = flag.Duration("hang", 20*time.Second, "how long the bucket of TestABucketThatHangs does not answer; from a minute on the times are judged too")
	soakFor     = flag.Duration("soak", 0, "how long TestSoak works; 0: a short trial")
	hostileFor  = flag.Duration("hostile", 0, "how long TestHostileClient attacks; 0: a short form that looks at order and counts alone")
	queueOnly   = flag.Bool("queue", false, "play the schedules with a queue only: each third seed")
	killFor     = flag.Duration("kill", 0, "how long TestKills and TestKillsWithSchedules kill servers and workers; 0: a short form")
	hostileOnly = flag.String("attacks", "", "names of the attacks of TestHostileClient, separated by commas; all unless one is named")
)

// patience bounds every wait for what must happen.
const patience = 90 * time.Second

// inside is where the copy of this program in its own namespaces finds the programs.
const inside = "STINT_FAULTS_PROGRAMS"

// programs is the directory of the built programs.
var programs string

func TestMain(m *testing.M) {
	if fleet := os.Getenv(fleetEnv); fleet != "" {
		os.Exit(runFleet(fleet))
	}
	if client := os.Getenv(hostileEnv); client != "" {
		os.Exit(runHostile(client))
	}
	if os.Getenv(plainEnv) != "" {
		os.Exit(runPlain())
	}
	if address := os.Getenv(uploadEnv); address != "" {
		os.Exit(runUpload(address))
	}
	flag.Parse()
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	if programs = os.Getenv(inside); programs != "" {
		_ = os.Unsetenv(inside) // ours alone
		if err := loopbackUp(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return run(m)
	}
	dir, err := os.MkdirTemp("", "stint-faults-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	programs = dir
	if err := build(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code, err := again()
	if errors.Is(err, errNoNamespaces) {
		return run(m)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func run(m *testing.M) int {
	code := m.Run()
	if err := closeSlots(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}

// build makes the programs as they are released, and the job.
func build() error {
	args := []string{"build", "-trimpath", "-ldflags", "-s -w -X main.version=faults"}
	cgo := "CGO_ENABLED=0"
	if *raceBuilt {
		args, cgo = append(args, "-race"), "CGO_ENABLED=1"
	}
	if err := goTool(cgo, append(args, "-o", programs+"/", "stint.dev/stint/cmd/stint", "stint.dev/stint/cmd/stint-agent", "stint.dev/stint/internal/faulttest/printer")...); err != nil {
		return err
	}
	replaced := map[string]string{}
	if *withClock {
		var err error
		if replaced, err = clockOverlay(programs); err != nil {
			return err
		}
		if err := buildAgain(cgo, args, "clock", replaced, "stint.dev/stint/cmd/stint", "stint.dev/stint/cmd/stint-agent"); err != nil {
			return err
		}
	}
	sooner, err := overlay(programs, "hasty", hasty)
	if err != nil {
		return err
	}
	maps.Copy(sooner, replaced)
	if err := buildAgain(cgo, args, "hasty", sooner, "stint.dev/stint/cmd/stint"); err != nil {
		return err
	}
	faster, err := overlay(programs, "swift", swift)
	if err != nil {
		return err
	}
	maps.Copy(faster, replaced)
	return buildAgain(cgo, args, "swift", faster, "stint.dev/stint/cmd/stint", "stint.dev/stint/cmd/stint-agent")
}

// buildAgain builds programs with some files replaced, into a directory of their own.
func buildAgain(cgo string, args []string, name string, replaced map[string]string, packages ...string) error {
	overlay, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		return err
	}
	dir, file := filepath.Join(programs, name), filepath.Join(programs, name+".json")
	if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(file, overlay, 0o644)); err != nil {
		return err
	}
	return goTool(cgo, slices.Concat(args, []string{"-overlay", file, "-o", dir + "/"}, packages)...)
}

func goTool(env string, args ...string) error {
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), env)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// clockOverlay writes a package time whose wall clock can be set from outside: it adds the
// nanoseconds that stand in the file STINT_TEST_CLOCK. The steady clock and timers stay what
// they are, as when a system's clock is set. It returns the replacements for go build, by path.
func clockOverlay(dir string) (map[string]string, error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env GOROOT: %w", err)
	}
	file := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	source, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	const before = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	changed := strings.Replace(string(source), before, before+"\tsec, nsec = setClock(sec, nsec)\n", 1)
	if changed == string(source) {
		return nil, fmt.Errorf("%s does not begin Now as this overlay knows it: adapt clockOverlay", file)
	}
	own, clock := filepath.Join(dir, "time.go"), filepath.Join(dir, "clock.go")
	return map[string]string{file: own, filepath.Join(filepath.Dir(file), "stint_clock.go"): clock},
		errors.Join(os.WriteFile(own, []byte(changed), 0o644), os.WriteFile(clock, []byte(setClock), 0o644))
}

const setClock = `package time

import (
	"syscall"
	"unsafe"
)

var clockStep *int64

func init() {
	path, ok := syscall.Getenv("STINT_TEST_CLOCK")
	if !ok {
		return
	}
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	b, err := syscall.Mmap(fd, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err == nil {
		clockStep = (*int64)(unsafe.Pointer(&b[0]))
	}
	_ = syscall.Close(fd)
}

func setClock(sec int64, nsec int32) (int64, int32) {
	if clockStep == nil {
		return sec, nsec
	}
	total := int64(nsec) + *clockStep
	sec += total / 1e9
	if total %= 1e9; total < 0 {
		total += 1e9
		sec--
	}
	return sec, int32(total)
}
`
