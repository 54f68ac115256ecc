package sink

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func dropNote(n int) string { return fmt.Sprintf("dropped %d\n", n) }

// blockingPipe is a pipe as a shell makes it, whose write end blocks.
func blockingPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe(fds[:]); err != nil {
		t.Fatal(err)
	}
	r, w = os.NewFile(uintptr(fds[0]), "read"), os.NewFile(uintptr(fds[1]), "write")
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// fill writes to a pipe until it takes nothing more, and returns how much that was.
func fill(t *testing.T, w *os.File) (n int) {
	t.Helper()
	fd := int(w.Fd())
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{4096, 1} {
		for {
			got, err := unix.Write(fd, []byte(strings.Repeat("x", size)))
			if err != nil {
				break
			}
			n += got
		}
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestMessagesReachTheirReaderInOrder(t *testing.T) {
	r, w := blockingPipe(t)
	m := NewMessages(w, dropNote)
	for i := range 100 {
		m.Add(fmt.Sprintf("line %d\n", i))
	}
	if !m.Flush(time.Minute) {
		t.Fatal("not everything was written to a pipe with room")
	}
	w.Close()
	lines := bufio.NewScanner(r)
	for i := range 100 {
		if !lines.Scan() || lines.Text() != fmt.Sprintf("line %d", i) {
			t.Fatalf("line %d is %q", i, lines.Text())
		}
	}
}

// A reader that pauses holds up nobody; it learns how many messages it missed, at their
// place.
func TestMessagesForAReaderThatPauses(t *testing.T) {
	r, w := blockingPipe(t)
	full := fill(t, w)
	m := NewMessages(w, dropNote)
	m.Add("first\n") // the goroutine takes it and blocks, sooner or later
	const most = 3 * maxMessages
	for i := range most {
		m.Add(fmt.Sprintf("line %d\n", i)) // would block for ever if Add waited
	}
	if m.Flush(time.Nanosecond) {
		t.Error("Flush reports that everything is written to a full pipe")
	}
	if _, err := io.ReadFull(r, make([]byte, full)); err != nil {
		t.Fatal(err)
	}
	if !m.Flush(time.Minute) {
		t.Fatal("not everything was written although the reader went on")
	}
	m.Add("later\n")
	m.Flush(time.Minute)
	w.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	next, kept := 0, 0 // of the numbered lines
	for _, line := range lines[1 : len(lines)-1] {
		var n int
		if _, err := fmt.Sscanf(line, "dropped %d", &n); err == nil {
			next += n
			continue
		}
		if line != fmt.Sprintf("line %d", next) {
			t.Fatalf("%q instead of line %d", line, next)
		}
		next++
		kept++
	}
	if next != most || kept < maxMessages-1 || lines[0] != "first" || lines[len(lines)-1] != "later" {
		t.Errorf("%d of %d are accounted for, %d kept, first %q, last %q", next, most, kept, lines[0], lines[len(lines)-1])
	}
}

func TestLongMessagesAreBounded(t *testing.T) {
	r, w := blockingPipe(t)
	full := fill(t, w)
	m := NewMessages(w, dropNote)
	long := strings.Repeat("y", maxBytes/2+1)
	for range 100 {
		m.Add(long)
	}
	m.mu.Lock()
	if m.bytes > maxBytes+2*len(dropNote(100)) {
		t.Errorf("%d bytes wait", m.bytes)
	}
	m.mu.Unlock()
	done := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(r)
		done <- string(text[full:])
	}()
	m.Flush(time.Minute)
	w.Close()
	text := <-done
	kept := strings.Count(text, long)
	for _, note := range regexp.MustCompile(`dropped (\d+)\n`).FindAllStringSubmatch(text, -1) {
		n, _ := strconv.Atoi(note[1])
		kept += n
	}
	if kept != 100 {
		t.Errorf("%d of 100 are accounted for", kept)
	}
}

// What cannot be written is counted until it can be.
func TestMessagesThatCannotBeWritten(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	m := NewMessages(full, dropNote)
	for range 10 {
		m.Add("text\n")
		if !m.Flush(time.Minute) {
			t.Fatal("a write that fails held it up")
		}
	}
	r, w := blockingPipe(t)
	m.file = w
	m.Add("at last\n")
	m.Flush(time.Minute)
	w.Close()
	if text, _ := io.ReadAll(r); string(text) != "dropped 10\nat last\n" {
		t.Errorf("written %q", text)
	}
}

func TestMessagesWithoutAReader(t *testing.T) {
	r, w := blockingPipe(t)
	r.Close()
	m := NewMessages(w, dropNote)
	m.Add("nobody reads this\n")
	if !m.Flush(time.Minute) {
		t.Error("a closed pipe held it up")
	}
}

// Many senders at once: everything is written, whole and once.
func TestMessagesOfManySenders(t *testing.T) {
	r, w := blockingPipe(t)
	m := NewMessages(w, dropNote)
	lines := make(chan []string, 1)
	go func() {
		text, _ := io.ReadAll(r)
		lines <- strings.Split(strings.TrimSpace(string(text)), "\n")
	}()
	const senders, each = 8, maxMessages / 8
	sent := make(chan struct{})
	for i := range senders {
		go func() {
			for j := range each {
				m.Add(fmt.Sprintf("%d.%d\n", i, j))
			}
			sent <- struct{}{}
		}()
	}
	for range senders {
		<-sent
	}
	m.Flush(time.Minute)
	w.Close()
	seen := map[string]bool{}
	for _, line := range <-lines {
		seen[line] = true
	}
	if len(seen) != senders*each {
		t.Errorf("%d of %d messages", len(seen), senders*each)
	}
}
