//go:build linux

package notify

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ear collects what a socket heard.
type ear struct {
	mu       sync.Mutex
	messages []Message
	statuses []string
	refused  []string
	news     chan struct{}
}

func listen(t *testing.T) (*Socket, *ear) {
	t.Helper()
	e := &ear{news: make(chan struct{}, 1)}
	in := func(f func()) {
		e.mu.Lock()
		f()
		e.mu.Unlock()
		select {
		case e.news <- struct{}{}:
		default:
		}
	}
	s, err := Listen("01890a5d-ac96-774b-bcce-b302099a8057.1", Heard{
		Message: func(m Message) { in(func() { e.messages = append(e.messages, m) }) },
		Status:  func(text string) { in(func() { e.statuses = append(e.statuses, text) }) },
		Refused: func(why string) { in(func() { e.refused = append(e.refused, why) }) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, e
}

func (e *ear) await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		e.mu.Lock()
		there := ok()
		e.mu.Unlock()
		if there {
			return
		}
		select {
		case <-e.news:
		case <-deadline:
			t.Fatalf("waited in vain for %s: %+v", what, e)
		}
	}
}

func dial(t *testing.T, s *Socket) *net.UnixConn {
	t.Helper()
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: s.Address(), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func send(t *testing.T, c *net.UnixConn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func sendFile(t *testing.T, c *net.UnixConn, text string, f *os.File) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var sent error
	err = raw.Write(func(fd uintptr) bool {
		sent = unix.Sendmsg(int(fd), []byte(text), unix.UnixRights(int(f.Fd())), nil, 0)
		return sent != unix.EAGAIN
	})
	if err != nil || sent != nil {
		t.Fatal(err, sent)
	}
}

func TestMessagesArrive(t *testing.T) {
	s, e := listen(t)
	if a := s.Address(); !strings.HasPrefix(a, "@stint-01890a5d") || len(a) > maxName {
		t.Errorf("address %q", a)
	}
	c := dial(t, s)
	send(t, c, "READY=1\nSTATUS=one")
	e.await(t, "the first status", func() bool { return len(e.messages) == 1 && len(e.statuses) == 1 })
	send(t, c, "STATUS=two")
	send(t, c, "STATUS=three")
	s.Close() // at once: what was sent is taken, what was held back is told
	if !e.messages[0].Ready || len(e.messages) != 3 || strings.Join(e.statuses, " ") != "one three" {
		t.Errorf("heard %+v, %q", e.messages, e.statuses)
	}
	if _, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: s.Address(), Net: "unixgram"}); err == nil {
		t.Error("the socket is still there")
	}
	s.Close() // again is harmless
}

func TestHeldBackStatusIsToldInTime(t *testing.T) {
	s, e := listen(t)
	c := dial(t, s)
	send(t, c, "STATUS=one")
	send(t, c, "STATUS=two")
	e.await(t, "the second status", func() bool { return len(e.statuses) == 2 && e.statuses[1] == "two" })
}

// A barrier is a descriptor whose closing says that all before it was taken; a descriptor
// that we are to keep is closed too.
func TestDescriptorsAreClosed(t *testing.T) {
	s, e := listen(t)
	c := dial(t, s)
	for _, text := range []string{"BARRIER=1", "FDSTORE=1\nFDNAME=x", strings.Repeat("x", 5000)} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		send(t, c, "STATUS=before "+text[:4])
		sendFile(t, c, text, w)
		w.Close()
		if err := r.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if n, err := r.Read(make([]byte, 1)); n != 0 || os.IsTimeout(err) {
			t.Errorf("%.20s: the descriptor is still open (%v)", text, err)
		}
		r.Close()
		e.mu.Lock()
		if last := e.messages[len(e.messages)-1]; !last.Said && text != "FDSTORE=1\nFDNAME=x" && text != "BARRIER=1" {
			t.Errorf("the message before %.20s was not taken first: %+v", text, e.messages)
		}
		e.mu.Unlock()
	}
	s.Close()
	if all := strings.Join(e.refused, "\n"); !strings.Contains(all, "FDSTORE") || !strings.Contains(all, "4096") || len(e.refused) != 2 {
		t.Errorf("refused %q", e.refused)
	}
}

func TestHostileDatagrams(t *testing.T) {
	s, e := listen(t)
	c := dial(t, s)
	noise := rand.NewChaCha8([32]byte{7})
	for i := range 2000 {
		b := make([]byte, i%4200)
		_, _ = noise.Read(b) // never fails
		if i%3 == 0 {
			b = append([]byte("STATUS="), b...)
		}
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	send(t, c, "STATUS=the last")
	s.Close()
	if len(e.statuses) > 10 || e.statuses[len(e.statuses)-1] != "the last" {
		t.Errorf("%d statuses, the last %q", len(e.statuses), e.statuses[len(e.statuses)-1])
	}
}

// With the rights for it, the same from a process of another user, which is asked about.
func TestOtherUsers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can start processes of another user")
	}
	notify, err := exec.LookPath("systemd-notify")
	if err != nil {
		t.Skip("systemd-notify is not installed")
	}
	for _, belongs := range []bool{true, false} {
		asked := make(chan int, 16)
		got, refused := make(chan Message, 16), make(chan string, 16)
		s, err := Listen("other", Heard{
			Message: func(m Message) { got <- m }, Status: func(string) {}, Refused: func(why string) { refused <- why },
			Belongs: func(pid int) bool { asked <- pid; return belongs },
		})
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(notify, "--status=from nobody")
		cmd.Env = []string{"NOTIFY_SOCKET=" + s.Address()}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		var out bytes.Buffer
		cmd.Stderr = &out
		if err := cmd.Run(); err != nil {
			t.Fatalf("%v: %s", err, out.String())
		}
		s.Close()
		if len(asked) == 0 || belongs != (len(got) > 0) || belongs == (len(refused) > 0) {
			t.Errorf("belongs %v: asked %d times, %d messages, %d refused", belongs, len(asked), len(got), len(refused))
		}
	}
}

// The real client, which waits for its barrier.
func TestSystemdNotify(t *testing.T) {
	notify, err := exec.LookPath("systemd-notify")
	if err != nil {
		t.Skip("systemd-notify is not installed")
	}
	s, e := listen(t)
	cmd := exec.Command(notify, "--ready", "--status=Größe 7")
	cmd.Env = []string{"NOTIFY_SOCKET=" + s.Address()}
	begun := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if took := time.Since(begun); took > 4*time.Second {
		t.Errorf("it waited %s for its barrier", took)
	}
	s.Close()
	if len(e.messages) == 0 || !e.messages[0].Ready || fmt.Sprint(e.statuses) != "[Größe 7]" {
		t.Errorf("heard %+v, %q", e.messages, e.statuses)
	}
}
