package diagnose

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"stint.dev/stint/internal/agent/process/member"
	"stint.dev/stint/internal/agent/process/procfs"
	"stint.dev/stint/journal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParseCall(t *testing.T) {
	for text, want := range map[string]call{
		"running":                  {fd: -1},
		"":                         {fd: -1},
		"-1 0x7ffc 0x7f":           {fd: -1},
		"x y":                      {fd: -1},
		"99999 0x1 0x2":            {name: "system call 99999", fd: -1},
		"99999999999999999999 0x1": {fd: -1},
	} {
		if got := parseCall(text); got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
}

// The tables as an x86 machine prints them.
func TestReadSockets(t *testing.T) {
	known := map[uint64]string{}
	readSockets(known, "tcp", `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 101 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F90 0200000A:01BB 01 00000010:00000000 00:00000000 00000000     0        0 102 1 0000000000000000 20 4 30 10 -1
   2: short line
   3: XX00007F:1F90 0200000A:01BB 01 00000000:00000000 00:00000000 00000000     0        0 103 1
   4: 0100007F:1F90 0200000A:01BB 06 00000000:00000000 00:00000000 00000000     0        0 0 1
`)
	readSockets(known, "tcp6", `  sl
   0: 0000000000000000FFFF00000100007F:0050 0000000000000000FFFF00000100007F:0051 08 00000000:00000000 00:00000000 00000000     0        0 104 1
   1: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 105 1
`)
	readSockets(known, "udp", `  sl
   0: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 106 2 0 0
`)
	readSockets(known, "unix", `Num       RefCount Protocol Flags    Type St Inode Path
0000: 00000002 00000000 00010000 0001 01 107 /run/x.sock
0000: 00000003 00000000 00000000 0001 03 108
`)
	want := map[uint64]string{
		101: "tcp 127.0.0.1:8080 listening",
		102: "tcp 127.0.0.1:8080 to 10.0.0.2:443 established, 16 bytes not taken by the other side",
		104: "tcp 127.0.0.1:80 to 127.0.0.1:81 closed by the other side",
		105: "tcp [::1]:80 listening",
		106: "udp 127.0.0.1:53",
		107: "unix socket /run/x.sock", 108: "unix socket",
	}
	if len(known) != len(want) {
		t.Errorf("%d sockets: %v", len(known), known)
	}
	for inode, text := range want {
		if known[inode] != text {
			t.Errorf("%d: %q, want %q", inode, known[inode], text)
		}
	}
}

func FuzzTables(f *testing.F) {
	f.Add("0 0x3 0x1", "tcp", "0: 0100007F:1F90 0200000A:01BB 01 00000010:0 0 0 0 0 102")
	f.Fuzz(func(t *testing.T, text, kind, table string) {
		known := map[uint64]string{}
		readSockets(known, kind, table)
		if _, ok := known[0]; ok {
			t.Error("no socket has the inode 0")
		}
		if c := parseCall(text); c.fd < -1 {
			t.Errorf("%+v", c)
		}
	})
}

// start runs a shell script that ends with what it waits in, and returns it as a member
// once it has printed "ready".
func start(t *testing.T, dir, script string, files ...*os.File) member.Member {
	t.Helper()
	cmd := exec.Command("sh", "-c", "echo ready; "+script)
	cmd.Dir, cmd.ExtraFiles, cmd.Stderr = dir, files, os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait() // killed, as was asked
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(line, err)
	}
	var s procfs.Stat
	if err := procfs.ReadStat(cmd.Process.Pid, &s); err != nil {
		t.Fatal(err)
	}
	return member.Member{PID: s.PID, Name: s.Name(), State: string(rune(s.State)), StartedTicks: s.StartedTicks}
}

func texts(notes []journal.Note) string {
	var all []string
	for _, n := range notes {
		all = append(all, n.Text)
	}
	return strings.Join(all, "\n")
}

// await reads until the notes hold all of the words.
func await(t *testing.T, m member.Member, words ...string) {
	t.Helper()
	var text string
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		text = texts(Notes(t.Context(), func() ([]member.Member, error) { return []member.Member{m}, nil }))
		missing := false
		for _, w := range words {
			missing = missing || !strings.Contains(text, w)
		}
		if !missing {
			return
		}
	}
	t.Errorf("the diagnosis lacks some of %q:\n%s", words, text)
}

func TestRealProcesses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "the-lock")
	holder, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sock, err := conn.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close()
	remote := "tcp " + conn.LocalAddr().String() + " to " + listener.Addr().String() + " established"

	t.Run("sleeps", func(t *testing.T) {
		await(t, start(t, dir, "exec sleep 60"), "sleep (pid ", "sleeping, in nanosleep", "now 0 % of a core")
	})
	t.Run("is busy", func(t *testing.T) {
		await(t, start(t, dir, "while :; do :; done"), "sh (pid ", "running", " % of a core")
	})
	t.Run("is stopped", func(t *testing.T) { await(t, start(t, dir, "kill -STOP $$"), "stopped by a signal") })
	t.Run("reads a socket", func(t *testing.T) {
		await(t, start(t, dir, "exec cat <&3", sock), "cat (pid ", "in read on fd 0: "+remote, "sockets: "+remote)
	})
	t.Run("waits for a child", func(t *testing.T) { await(t, start(t, dir, "sleep 60; true"), "in wait for a child") })
	t.Run("waits for a lock", func(t *testing.T) {
		if _, err := exec.LookPath("flock"); err != nil {
			t.Skip("flock is not installed")
		}
		m := start(t, dir, "exec 5>the-lock; flock 5; exec flock the-lock true")
		await(t, m, "flock (pid ", "in flock on fd 3: "+file)
	})
	t.Run("holds files", func(t *testing.T) {
		await(t, start(t, dir, "exec 5>the-lock 6>other; exec sleep 60"), "files: "+file+", "+filepath.Join(dir, "other"))
	})
}

func TestProcessThatIsGone(t *testing.T) {
	gone := member.Member{PID: os.Getpid(), StartedTicks: 1} // another one had this number
	got := Notes(t.Context(), func() ([]member.Member, error) { return []member.Member{gone}, nil })
	if len(got) != 1 || strings.Contains(got[0].Text, "(pid") {
		t.Errorf("%+v", got)
	}
	got = Notes(t.Context(), func() ([]member.Member, error) { return nil, errors.New("no rights") })
	if len(got) != 1 || !strings.Contains(got[0].Text, "no rights") {
		t.Errorf("%+v", got)
	}
}

func TestEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	self := start(t, t.TempDir(), "exec sleep 60")
	begun := time.Now()
	got := Notes(ctx, func() ([]member.Member, error) { return []member.Member{self}, nil })
	if len(got) != 1 || time.Since(begun) > MeasureInterval {
		t.Errorf("%+v after %s", got, time.Since(begun))
	}
}
