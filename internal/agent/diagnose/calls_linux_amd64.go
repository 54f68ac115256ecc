package diagnose

import "golang.org/x/sys/unix"

// withOlder adds the calls that later architectures were made without.
func withOlder(all map[int]systemCall) map[int]systemCall {
	all[unix.SYS_POLL] = systemCall{"poll", false}
	all[unix.SYS_SELECT] = systemCall{"select", false}
	all[unix.SYS_EPOLL_WAIT] = systemCall{"epoll_wait", true}
	all[unix.SYS_PAUSE] = systemCall{"wait for a signal", false}
	all[unix.SYS_OPEN] = systemCall{"open", false}
	all[unix.SYS_STAT] = systemCall{"stat", false}
	all[unix.SYS_LSTAT] = systemCall{"stat", false}
	all[unix.SYS_ACCEPT] = systemCall{"accept", true}
	all[unix.SYS_SEMOP] = systemCall{"semop", false}
	return all
}
