//go:build !linux

package spool

import "testing"

// smallDisk needs mounts of Linux.
func smallDisk(t *testing.T, _ int) string {
	t.Helper()
	t.Skip("small disks are mounted on Linux only")
	return ""
}

func mountSmallDisk(t *testing.T, _ string, _ int) {
	t.Helper()
	t.Skip("small disks are mounted on Linux only")
}

func unmount(*testing.T, string) {}
