//go:build !linux

package postgrestest

import "syscall"

// serverAttr runs the server as owner.
func serverAttr(owner *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: owner, Setpgid: true}
}
