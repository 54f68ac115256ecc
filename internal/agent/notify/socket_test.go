//go:build linux

package notify

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ear collects what a socket received.
type ear struct {
	mu       sync.Mutex
	messages []Message
	statuses []string
	refused  []string
	news     chan struct{}
}

func listening(t *testing.T) (*Socket, *ear) {
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
	s, err := Listen(t.TempDir(), Handler{
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
	sendWith(t, c, text, unix.UnixRights(int(f.Fd())))
}

// asUser sends a datagram as a process of another user would.
func asUser(t *testing.T, c *net.UnixConn, uid uint32, text string) {
	t.Helper()
	sendWith(t, c, text, unix.UnixCredentials(&unix.Ucred{Pid: int32(os.Getpid()), Uid: uid, Gid: uint32(os.Getgid())}))
}

func sendWith(t *testing.T, c *net.UnixConn, text string, oob []byte) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var sent error
	err = raw.Write(func(fd uintptr) bool {
		sent = unix.Sendmsg(int(fd), []byte(text), oob, nil, 0)
		return sent != unix.EAGAIN
	})
	if err != nil || sent != nil {
		t.Fatal(err, sent)
	}
}

func TestMessagesArrive(t *testing.T) {
	s, e := listening(t)
	c := dial(t, s)
	send(t, c, "READY=1\nSTATUS=one")
	e.await(t, "the first status", func() bool { return len(e.messages) == 1 && len(e.statuses) == 1 })
	send(t, c, "STATUS=two")
	send(t, c, "STATUS=three")
	s.Close() // at once: what was sent is taken, what was held back is reported
	if !e.messages[0].Ready || len(e.messages) != 3 || strings.Join(e.statuses, " ") != "one three" {
		t.Errorf("received %+v, %q", e.messages, e.statuses)
	}
	if _, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: s.Address(), Net: "unixgram"}); err == nil {
		t.Error("the socket is still there")
	}
	s.Close() // again is harmless
}

func TestHeldBackStatusIsToldInTime(t *testing.T) {
	s, e := listening(t)
	c := dial(t, s)
	send(t, c, "STATUS=one")
	send(t, c, "STATUS=two")
	e.await(t, "the second status", func() bool { return len(e.statuses) == 2 && e.statuses[1] == "two" })
}

// A barrier is a descriptor whose closing says that all before it was taken; a descriptor
// that we are to keep is closed too.
func TestDescriptorsAreClosed(t *testing.T) {
	s, e := listening(t)
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
		if last := e.messages[len(e.messages)-1]; !last.HasStatus && text != "FDSTORE=1\nFDNAME=x" && text != "BARRIER=1" {
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
	s, e := listening(t)
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

// Where the socket is, other users cannot send to it.
func TestPlaces(t *testing.T) {
	dir := t.TempDir()
	for name, tc := range map[string]struct{ in, want string }{
		"given":               {dir, dir + "/notify"},
		"none":                {"", ""},
		"path is too long":    {filepath.Join(dir, strings.Repeat("x", 100)), ""},
		"no such directory":   {filepath.Join(dir, "gone"), ""},
		"a name with a space": {filepath.Join(dir, "a b"), filepath.Join(dir, "a b/notify")},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "a name with a space" {
				if err := os.Mkdir(tc.in, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			s, err := Listen(tc.in, Handler{Message: func(Message) {}, Status: func(string) {}})
			if err != nil {
				t.Fatal(err)
			}
			send(t, dial(t, s), "STATUS=x")
			info, err := os.Stat(filepath.Dir(s.Address()))
			if err != nil || tc.want == "" && info.Mode() != os.ModeDir|0o700 || tc.want != "" && tc.want != s.Address() {
				t.Errorf("address %s in a directory with mode %s, error %v", s.Address(), info.Mode(), err)
			}
			s.Close()
			if _, err := os.Lstat(s.Address()); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("after the end: %v", err)
			}
		})
	}
}

func TestNoFreshDirectoryUnderTMPDIR(t *testing.T) {
	for name, value := range map[string]string{"is not there": filepath.Join(t.TempDir(), "gone", "x"), "is long": filepath.Join(t.TempDir(), strings.Repeat("y", 100))} {
		t.Run(name, func(t *testing.T) {
			_ = os.Mkdir(value, 0o700) // one of them cannot be made, which is meant
			t.Setenv("TMPDIR", value)
			s, err := Listen("", Handler{Message: func(Message) {}, Status: func(string) {}})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			send(t, dial(t, s), "STATUS=x")
			if left, _ := os.ReadDir(value); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// In the abstract namespace, the last resort, everybody can send: nothing of it is taken, the
// reader does next to nothing, and nothing is reported of each.
func TestStrangersInTheAbstractNamespace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can send in the name of another user")
	}
	conn, err := bindWithoutDirectory()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	received := make(chan struct{})
	s, err := listen(conn, func() {}, Handler{
		Message: func(m Message) { got = append(got, m.Status); close(received) },
		Status:  func(string) {},
		Refused: func(why string) { t.Errorf("refused: %s", why) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c := dial(t, s)
	const pauses = 4
	begun := time.Now()
	for range (pauses + 1) * strangersLimit {
		asUser(t, c, 65534, "STATUS=forged")
	}
	asUser(t, c, 65534, strings.Repeat("x", 5000))
	send(t, c, "STATUS=ours")
	<-received
	if took := time.Since(begun); took < pauses*strangersPause {
		t.Errorf("the reader took what strangers sent within %s, and never paused for %s", took, strangersPause)
	}
	s.Close()
	if len(got) != 1 || got[0] != "ours" {
		t.Errorf("took %q", got)
	}
}

// A process of another user does not even reach the socket.
func TestOtherUsers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can start processes of another user")
	}
	notify, err := exec.LookPath("systemd-notify")
	if err != nil {
		t.Skip("systemd-notify is not installed")
	}
	s, e := listening(t)
	cmd := exec.Command(notify, "--status=from nobody")
	cmd.Env = []string{"NOTIFY_SOCKET=" + s.Address()}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "Permission denied") {
		t.Errorf("%v: %s", err, out)
	}
	s.Close()
	if len(e.messages)+len(e.refused) > 0 {
		t.Errorf("received %+v, refused %q", e.messages, e.refused)
	}
}

// The real client, which waits for its barrier.
func TestSystemdNotify(t *testing.T) {
	notify, err := exec.LookPath("systemd-notify")
	if err != nil {
		t.Skip("systemd-notify is not installed")
	}
	s, e := listening(t)
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
		t.Errorf("received %+v, %q", e.messages, e.statuses)
	}
}
