package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A process inherits every descriptor that its caller left open for it, whatever numbers they
// have.
func TestInheritedDescriptorsStay(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for gap := 1; gap <= 6; gap++ {
		t.Run(fmt.Sprintf("every %d", gap), func(t *testing.T) { inheritedStay(t, null, gap) })
	}
}

// inheritedStay starts a process below inherited descriptors of which only every so many is
// there.
func inheritedStay(t *testing.T, null *os.File, gap int) {
	t.Helper()
	g := limited(t, Options{})
	// Free numbers below: the runtime's own pipe takes one of them, and is moved up.
	var holes []int
	for range 12 {
		fd, err := unix.FcntlInt(null.Fd(), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			t.Fatal(err)
		}
		holes = append(holes, fd)
	}
	path := filepath.Join(t.TempDir(), "out")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, holes[len(holes)-1]+1)
	file.Close()
	if err != nil {
		t.Fatal(err)
	}
	out := os.NewFile(uintptr(fd), path)
	var inherited []string
	for i := fd + 1; i < fd+40; i += gap {
		if err := unix.Dup3(int(null.Fd()), i, 0); err != nil {
			t.Fatal(err)
		}
		inherited = append(inherited, strconv.Itoa(i))
	}
	for _, fd := range holes {
		unix.Close(fd)
	}
	p, err := g.Start(Spec{
		Args: []string{"sh", "-c", "for i in " + strings.Join(inherited, " ") + "; do [ -e /proc/self/fd/$i ] || echo missing $i; done; echo done"},
		Env:  os.Environ(), Stdout: out,
	})
	out.Close()
	for _, i := range inherited {
		n, _ := strconv.Atoi(i)
		unix.Close(n)
	}
	if err != nil {
		t.Fatal(err)
	}
	p.Exit()
	if text, err := os.ReadFile(path); string(text) != "done\n" || err != nil {
		t.Errorf("one in %d is inherited; the child says %q, %v", gap, text, err)
	}
}
