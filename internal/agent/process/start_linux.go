package process

import "golang.org/x/sys/unix"

const maxRSSUnit = 1024 // ru_maxrss is in KiB

func onMainThread() bool { return unix.Gettid() == unix.Getpid() }
