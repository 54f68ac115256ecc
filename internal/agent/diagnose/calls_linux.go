package diagnose

import (
	"sync"

	"golang.org/x/sys/unix"
)

// systemCall is a system call: its name, and whether its first argument is a descriptor.
type systemCall struct {
	name string
	onFD bool
}

// calls are those in which processes wait. The numbers differ between architectures; the
// ones that not all of them have are in calls_linux_amd64.go.
var calls = sync.OnceValue(func() map[int]systemCall {
	return withOlder(map[int]systemCall{
		unix.SYS_READ: {"read", true}, unix.SYS_WRITE: {"write", true},
		unix.SYS_READV: {"readv", true}, unix.SYS_WRITEV: {"writev", true},
		unix.SYS_PREAD64: {"pread", true}, unix.SYS_PWRITE64: {"pwrite", true},
		unix.SYS_RECVFROM: {"recv", true}, unix.SYS_RECVMSG: {"recvmsg", true}, unix.SYS_RECVMMSG: {"recvmmsg", true},
		unix.SYS_SENDTO: {"send", true}, unix.SYS_SENDMSG: {"sendmsg", true},
		unix.SYS_CONNECT: {"connect", true}, unix.SYS_ACCEPT4: {"accept", true},
		unix.SYS_FLOCK: {"flock", true}, unix.SYS_FCNTL: {"fcntl (a lock?)", true}, unix.SYS_IOCTL: {"ioctl", true},
		unix.SYS_FSYNC: {"fsync", true}, unix.SYS_FDATASYNC: {"fdatasync", true}, unix.SYS_FALLOCATE: {"fallocate", true},
		unix.SYS_GETDENTS64: {"getdents", true}, unix.SYS_CLOSE: {"close", true}, unix.SYS_FSTAT: {"fstat", true},
		unix.SYS_EPOLL_PWAIT: {"epoll_wait", true}, unix.SYS_IO_URING_ENTER: {"io_uring_enter", true},
		unix.SYS_OPENAT: {"open", false}, unix.SYS_UNLINKAT: {"unlink", false}, unix.SYS_EXECVE: {"execve", false},
		unix.SYS_PPOLL: {"poll", false}, unix.SYS_PSELECT6: {"select", false},
		unix.SYS_FUTEX:     {"futex (a lock of its own, or a condition)", false},
		unix.SYS_NANOSLEEP: {"nanosleep", false}, unix.SYS_CLOCK_NANOSLEEP: {"nanosleep", false},
		unix.SYS_WAIT4: {"wait for a child", false}, unix.SYS_WAITID: {"wait for a child", false},
		unix.SYS_RT_SIGTIMEDWAIT: {"wait for a signal", false}, unix.SYS_RT_SIGSUSPEND: {"wait for a signal", false},
		unix.SYS_SYNC: {"sync", false}, unix.SYS_MSGRCV: {"msgrcv", false}, unix.SYS_SEMTIMEDOP: {"semtimedop", false},
		unix.SYS_MMAP: {"mmap", false}, unix.SYS_MUNMAP: {"munmap", false}, unix.SYS_RESTART_SYSCALL: {"a sleep or poll that was interrupted", false},
	})
})
