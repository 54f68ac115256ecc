package diagnose

import "golang.org/x/sys/unix"

// withOlder adds the calls that later architectures were made without.
func withOlder(all map[int]known) map[int]known {
	all[unix.SYS_POLL] = known{"poll", false}
	all[unix.SYS_SELECT] = known{"select", false}
	all[unix.SYS_EPOLL_WAIT] = known{"epoll_wait", true}
	all[unix.SYS_PAUSE] = known{"wait for a signal", false}
	all[unix.SYS_OPEN] = known{"open", false}
	all[unix.SYS_STAT] = known{"stat", false}
	all[unix.SYS_LSTAT] = known{"stat", false}
	all[unix.SYS_ACCEPT] = known{"accept", true}
	all[unix.SYS_SEMOP] = known{"semop", false}
	return all
}
