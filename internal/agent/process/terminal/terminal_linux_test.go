package terminal

import (
	"bufio"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, size Size) (master, slave *os.File) {
	t.Helper()
	master, slave, err := Open(size)
	if err != nil {
		t.Skipf("this machine gives no pseudo-terminal: %v", err)
	}
	t.Cleanup(func() { master.Close(); slave.Close() })
	return master, slave
}

func TestSizes(t *testing.T) {
	master, slave := open(t, Size{Columns: 132, Rows: 43})
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if got := SizeOf(nil, file, slave); got != (Size{132, 43}) {
		t.Errorf("size %+v", got)
	}
	if got := SizeOf(nil, file); got != DefaultSize {
		t.Errorf("without a terminal %+v", got)
	}
	if err := Resize(master, Size{Columns: 20, Rows: 10}); err != nil || SizeOf(slave) != (Size{20, 10}) {
		t.Errorf("resized: %v, %+v", err, SizeOf(slave))
	}
	if err := Resize(file, DefaultSize); err == nil {
		t.Error("a file that is no terminal was resized")
	}
}

func TestTheEndOfATerminal(t *testing.T) {
	master, slave := open(t, DefaultSize)
	if _, err := slave.WriteString("last words"); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	all, err := io.ReadAll(master)
	if string(all) != "last words" || !errors.Is(err, syscall.EIO) {
		t.Errorf("read %q, %v", all, err)
	}
}

func TestReadingObeysADeadline(t *testing.T) {
	master, _ := open(t, DefaultSize)
	if err := master.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := master.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("reading ended with %v", err)
	}
}

// What a pipe holds is typed, and its end ends the job's input, also in the middle of a line.
func TestKeyboardCopiesAPipe(t *testing.T) {
	for _, text := range []string{"one\ntwo\n", "one\ntwo", ""} {
		master, slave := open(t, DefaultSize)
		in, typist, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		k, err := Connect(in, master)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := typist.WriteString(text); err != nil {
			t.Fatal(err)
		}
		typist.Close()
		if got, err := io.ReadAll(slave); string(got) != text || err != nil {
			t.Errorf("the job read %q (%v), not %q", got, err, text)
		}
		k.Close()
		k.Close()
		in.Close()
	}
}

// A terminal is raw while it is joined, and as before afterwards; a job that reads nothing
// holds nobody up.
func TestKeyboardGivesTheTerminalBack(t *testing.T) {
	screen, own := open(t, DefaultSize)
	master, slave := open(t, DefaultSize)
	before := modeOf(t, own)
	k, err := Connect(own, master)
	if err != nil {
		t.Fatal(err)
	}
	typed := make(chan error, 1)
	go func() {
		// Ctrl-C and a line: bytes like any other, once the terminal is raw.
		poll, late := time.NewTicker(time.Millisecond), time.NewTimer(10*time.Second)
		defer poll.Stop()
		defer late.Stop()
		for !isRaw(own) {
			select {
			case <-poll.C:
			case <-late.C:
				typed <- errors.New("the terminal was not made raw within 10 s")
				return
			}
		}
		_, err := screen.WriteString("\x03hello\r")
		typed <- err
	}()
	if err := <-typed; err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(slave).ReadString('\n')
	if err != nil || !strings.HasSuffix(line, "hello\n") {
		t.Errorf("the job read %q, %v", line, err)
	}
	if _, err := screen.WriteString(strings.Repeat("x", 64<<10)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	// What is still to be written has its carriage returns already.
	k.Stop()
	between := modeOf(t, own)
	output := before
	output.Oflag &^= unix.OPOST
	if between != output {
		t.Errorf("after Stop the terminal's mode is\n%+v, want\n%+v", between, output)
	}
	k.Close()
	if after := modeOf(t, own); after != before {
		t.Errorf("the terminal's mode was\n%+v and is\n%+v", before, after)
	}
}

func modeOf(t *testing.T, f *os.File) unix.Termios {
	t.Helper()
	mode, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *mode
}

func isRaw(f *os.File) bool {
	mode, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil && mode.Lflag&unix.ICANON == 0
}

func TestACallerThatIsGone(t *testing.T) {
	screen, own := open(t, DefaultSize)
	master, slave := open(t, DefaultSize)
	k, err := Connect(own, master)
	if err != nil {
		t.Fatal(err)
	}
	screen.Close()
	if got, err := io.ReadAll(slave); len(got) != 0 || err != nil {
		t.Errorf("the job read %q, %v instead of the end", got, err)
	}
	k.Close()
	if term.IsTerminal(int(own.Fd())) {
		t.Error("a terminal that is gone is one")
	}
	var none *Keyboard
	none.Close()
}
