package definition

import (
	"slices"
	"strings"

	"stint.dev/stint/job"
)

const (
	digits   = "0123456789"
	capitals = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	letters  = capitals + "abcdefghijklmnopqrstuvwxyz"
	maxName  = 128 // of a variable, in bytes
)

// isName reports whether a text can be the name of a variable that begins with one of first, and goes
// on with these, digits and _.
func isName(text, first string) bool {
	return text != "" && len(text) <= maxName && strings.ContainsRune(first, rune(text[0])) && strings.Trim(text, first+digits+"_") == ""
}

// Variables that change what programs run or load, or what they are about. A client that submits a run
// must not be able to, so parameters cannot have these names; the author of a definition may set
// them in env. The names are separated by white space.
const reservedNames = `
		PATH HOME USER LOGNAME SHELL PWD OLDPWD IFS ENV CDPATH PS0 PS1 PS2 PS3 PS4 SHELLOPTS BASHOPTS GLOBIGNORE FPATH
		PROMPT_COMMAND FCEDIT HISTFILE POSIXLY_CORRECT TZ TZDIR LANG LANGUAGE TERM TERMINFO TERMCAP TMPDIR TMP TEMP
		GCONV_PATH GETCONF_DIR HOSTALIASES LOCALDOMAIN LOCPATH NLSPATH RES_OPTIONS NIS_PATH RESOLV_HOST_CONF
		EDITOR VISUAL PAGER MANPAGER BROWSER LESSOPEN LESSCLOSE MAIL NOTIFY_SOCKET LISTEN_FDS LISTEN_PID
		NODE_OPTIONS NODE_PATH NODE_EXTRA_CA_CERTS CLASSPATH JDK_JAVA_OPTIONS CATALINA_OPTS MAVEN_OPTS
		PHPRC PHP_INI_SCAN_DIR LUA_INIT LUA_PATH LUA_CPATH TCLLIBPATH R_PROFILE R_PROFILE_USER R_ENVIRON R_LIBS
		DOTNET_STARTUP_HOOKS DOTNET_ADDITIONAL_DEPS COR_PROFILER CORECLR_PROFILER GOFLAGS RUSTC_WRAPPER MAKEFLAGS CC CXX AR LD
		OPENSSL_CONF OPENSSL_MODULES SSL_CERT_FILE SSL_CERT_DIR CURL_HOME CURL_CA_BUNDLE REQUESTS_CA_BUNDLE
		HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY FTP_PROXY SSH_ASKPASS SSH_AUTH_SOCK KUBECONFIG DOCKER_HOST DOCKER_CONFIG
		AWS_CONFIG_FILE AWS_SHARED_CREDENTIALS_FILE AWS_ENDPOINT_URL CLOUDSDK_CONFIG PGSERVICEFILE PGSYSCONFDIR`

var reservedPrefixes = []string{
	"STINT_", "LD_", "DYLD_", "BASH_", "LC_", "PYTHON", "PERL", "RUBY", "GEM_", "BUNDLE_", "GIT_", "JAVA_", "NPM_CONFIG_", "PIP_",
	"GLIBC_", "MALLOC_", "WATCHDOG_", "SUDO_", "SYSTEMD_", "XDG_", "UV_", "CARGO_", "LESS",
}

// reservedBy returns the name or prefix that reserves a variable; empty for none.
func reservedBy(name string) string {
	if slices.Contains(strings.Fields(reservedNames), name) {
		return name
	}
	for _, prefix := range reservedPrefixes {
		if strings.HasPrefix(name, prefix) {
			return prefix + "*"
		}
	}
	return ""
}

// checkParameterName returns what is wrong with the name of a parameter; empty for nothing.
func checkParameterName(name string) string {
	if !isName(name, capitals) {
		return job.Quote(name) + " is no name of a parameter: it is the name of a variable, capital letters, digits and _, such as DAY"
	}
	if by := reservedBy(name); by != "" {
		return job.Quote(name) + " is reserved (" + by + "): a client that submits a run could change what programs run or load; set it in env, or take another name"
	}
	return ""
}

// checkVariable returns what is wrong with the name of a variable that the author sets.
func checkVariable(name string) string {
	switch {
	case !isName(name, letters+"_"):
		return job.Quote(name) + " is no name of a variable: letters, digits and _, and no digit first"
	case strings.HasPrefix(name, "STINT_"):
		return job.Quote(name) + " is reserved: Stint itself sets the variables STINT_*"
	}
	return ""
}
