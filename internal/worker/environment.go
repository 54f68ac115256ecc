package worker

import (
	"os"
	"os/user"
	"slices"
	"strings"
)

// defaultPath is the PATH of a job whose worker has none.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// fixed are the variables that a job always has, and those of the worker that it gets if they are
// set.
var fixed = []string{"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ"}

// Account is the user that jobs run as.
type Account struct{ Name, Home, Shell string }

// CurrentAccount is the user of this process, as far as the system knows it.
func CurrentAccount(getenv func(string) string) Account {
	a := Account{Name: getenv("USER"), Home: getenv("HOME"), Shell: getenv("SHELL")}
	u, err := user.Current()
	if err != nil { // a user without a name, as in many containers
		return a
	}
	a.Name, a.Home = u.Username, u.HomeDir
	if passwd, err := os.ReadFile("/etc/passwd"); err == nil {
		if shell := shellOf(string(passwd), u.Uid); shell != "" {
			a.Shell = shell
		}
	}
	return a
}

// shellOf is the shell of a user in the text of a passwd file; empty for none.
func shellOf(passwd, uid string) string {
	for line := range strings.Lines(passwd) {
		if f := strings.Split(strings.TrimRight(line, "\n"), ":"); len(f) == 7 && f[2] == uid {
			return f[6]
		}
	}
	return ""
}

// Environment is that of the jobs of a worker, without what a claim adds: a fixed set of names,
// and of the worker's own variables those in pass.
func Environment(getenv func(string) string, a Account, pass []string) []string {
	values := map[string]string{
		"PATH": getenv("PATH"), "LANG": getenv("LANG"), "TZ": getenv("TZ"),
		"HOME": a.Home, "USER": a.Name, "LOGNAME": a.Name, "SHELL": a.Shell,
	}
	if values["PATH"] == "" {
		values["PATH"] = defaultPath
	}
	if values["SHELL"] == "" {
		values["SHELL"] = "/bin/sh"
	}
	var env []string
	for _, name := range fixed {
		if values[name] != "" && !slices.Contains(pass, name) {
			env = append(env, name+"="+values[name])
		}
	}
	for _, name := range pass {
		if value := getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}
