package faulttest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

var errNoNamespaces = errors.New("no namespaces of our own")

// again runs this program once more, in a mount and a network namespace of its own: what it
// mounts and links vanishes with it, however it ends.
func again() (code int, err error) {
	if _, err := exec.LookPath("ip"); err != nil || os.Geteuid() != 0 {
		return 0, errNoNamespaces
	}
	runtime.LockOSThread() // the child dies with this thread
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inside+"="+programs)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); errors.Is(err, syscall.EPERM) {
		return 0, errNoNamespaces
	} else if err != nil {
		return 0, err
	}
	quit := make(chan os.Signal, 2) // of go test, when its time is up: the child says where it is
	signal.Notify(quit, syscall.SIGQUIT, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(quit)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case s := <-quit:
				_ = cmd.Process.Signal(s)
			case <-done:
				return
			}
		}
	}()
	_ = cmd.Wait() // its exit code says it
	close(done)
	return max(cmd.ProcessState.ExitCode(), -cmd.ProcessState.ExitCode()), nil
}

func loopbackUp() error { return ip("link", "set", "lo", "up") }

// able finds out what this machine lets us do.
func able() (can abilities, why []string) {
	dir, err := os.MkdirTemp("", "stint-faults-disk-")
	if err == nil {
		var undo func() error
		if undo, err = mountDisk(dir, 1<<20); err == nil {
			can.disks = true
			err = undo()
		}
		_ = os.Remove(dir) // a directory of our own
	}
	if err != nil {
		why = append(why, fmt.Sprintf("no small disks: %v", err))
	}
	l, err := (*link)(nil), errNoNamespaces
	if ownMounts() {
		l, err = makeLink(9999)
	}
	if err == nil {
		can.links = true
		err = l.close()
	}
	if err != nil {
		why = append(why, fmt.Sprintf("no network namespaces: %v", err))
	}
	return can, why
}

// mountDisk mounts a disk of a size, and returns how to undo that.
func mountDisk(dir string, size int64) (func() error, error) {
	if !ownMounts() {
		return nil, errors.New("mounts would be seen by others")
	}
	if err := unix.Mount("stint-faults", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0755", size)); err != nil {
		return nil, fmt.Errorf("mount a disk of %d bytes at %s: %w", size, dir, err)
	}
	return func() error { return unix.Unmount(dir, unix.MNT_DETACH) }, nil
}

// ownMounts reports whether our mounts are seen by us alone.
func ownMounts() bool {
	mine, err := os.Readlink("/proc/self/ns/mnt")
	parent, perr := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", os.Getppid()))
	return err == nil && perr == nil && mine != parent
}

// link is a network namespace that a pair of virtual cables joins with ours.
type link struct {
	name  string // of the end here
	ns    *os.File
	here  string // our address
	there string
}

func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %v: %w: %s", args, err, out)
	}
	return nil
}

func makeLink(number int) (*link, error) {
	prefix := fmt.Sprintf("10.%d.%d.", 100+number>>8, number&255)
	l := &link{name: fmt.Sprintf("h%d", number), here: prefix + "1", there: prefix + "2"}
	peer := l.peer()
	if err := l.newNamespace(); err != nil {
		return nil, err
	}
	err := errors.Join(
		ip("link", "add", l.name, "type", "veth", "peer", "name", peer),
		ip("link", "set", peer, "netns", fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), l.ns.Fd())),
		ip("addr", "add", l.here+"/30", "dev", l.name),
		ip("link", "set", l.name, "up"),
		l.within(func() error {
			return errors.Join(ip("link", "set", "lo", "up"), ip("addr", "add", l.there+"/30", "dev", peer), ip("link", "set", peer, "up"))
		}))
	if err != nil {
		return nil, errors.Join(err, l.ns.Close())
	}
	return l, nil
}

// newNamespace makes a network namespace and holds it by a descriptor.
func (l *link) newNamespace() error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			l.ns, err = os.Open(filepath.Join("/proc", fmt.Sprint(os.Getpid()), "task", fmt.Sprint(unix.Gettid()), "ns", "net"))
		}
		done <- err
	}()
	return <-done
}

// within calls start from a thread in the namespace: what it starts is born there.
func (l *link) within(start func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			done <- err
			return
		}
		defer home.Close()
		if err := unix.Setns(int(l.ns.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		err = start()
		if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back == nil {
			runtime.UnlockOSThread() // else the thread ends with the goroutine
		}
		done <- err
	}()
	return <-done
}

func (l *link) peer() string { return "a" + l.name[1:] }

// knowNeighbors makes each end send to the other without asking whether it is there.
func (l *link) knowNeighbors() error {
	return errors.Join(l.lose(toServer, false), l.lose(toAgent, false))
}

// lose loses every packet that crosses the link in a direction from now on, or lets them through
// again. Neither end is notified: the packets go to a hardware address that nobody has.
func (l *link) lose(to direction, all bool) error {
	point := func(from, to, address string) error {
		if all {
			address = "02:00:00:00:00:01"
		}
		return ip("neigh", "replace", to, "lladdr", address, "dev", from, "nud", "permanent")
	}
	if to == toServer {
		here, err := net.InterfaceByName(l.name)
		if err != nil {
			return err
		}
		return l.within(func() error { return point(l.peer(), l.here, here.HardwareAddr.String()) })
	}
	var there string
	err := l.within(func() error {
		end, err := net.InterfaceByName(l.peer())
		if err == nil {
			there = end.HardwareAddr.String()
		}
		return err
	})
	if err != nil {
		return err
	}
	return point(l.name, l.there, there)
}

func (l *link) set(state string) error { return ip("link", "set", l.name, state) }

func (l *link) close() error {
	return errors.Join(ip("link", "delete", l.name), l.ns.Close())
}
