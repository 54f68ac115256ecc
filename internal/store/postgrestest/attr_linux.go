package postgrestest

import "syscall"

// serverAttr runs the server as owner and stops it if the test binary is killed.
func serverAttr(owner *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: owner, Pdeathsig: syscall.SIGINT, Setpgid: true}
}
