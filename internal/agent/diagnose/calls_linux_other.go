//go:build linux && !amd64

package diagnose

func withOlder(all map[int]known) map[int]known { return all }
