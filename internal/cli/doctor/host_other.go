//go:build !linux

package doctor

func checkPipes() Finding {
	return Finding{"pipes", "ok", "a job's output gets the system's own pipes", ""}
}

func better(string) string {
	return "only process groups are available on this system; limits and exact figures need Linux"
}

// userTasks is not known on this system.
func userTasks() uint64 { return 0 }
