package healthcmd

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"stint.dev/stint/internal/cli/clitest"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

func newCommand(c *console.Console) *cobra.Command {
	return Command(&command.Program{Console: c, Version: "test"})
}

// A server that can do its work is ready, whatever else it says; the reason why one is not is in the error.
func TestHealth(t *testing.T) {
	at := time.Date(2026, 11, 30, 3, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		reply any
		code  int
		says  string
	}{
		{api.ServerStatus{Status: "ok", Version: "v0.1.0"}, 200, " is ready, version v0.1.0\n"},
		{api.ServerStatus{Status: "degraded", Version: "v1", Degraded: []string{"a heartbeat has waited 4s to be stored"}}, 200, ", but: a heartbeat has waited 4s"},
		{api.ServerStatus{Status: "restored copy", Version: "v1", CopiedAt: &at}, 200, "but: it is a restored copy"},
		{job.Problem{Type: job.ProblemType(503), Status: 503, Detail: "the server is shutting down"}, 503, " is not ready: the server is shutting down (HTTP 503)"},
		{"<html>", 502, "502 Bad Gateway"},
	} {
		out, _, err := clitest.Ask(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/readyz" || r.Header.Get("Authorization") != "" {
				t.Errorf("%s with %q", r.URL, r.Header.Get("Authorization"))
			}
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(c.code)
			clitest.Encode(t, w, c.reply)
		}), newCommand)
		if err != nil {
			out = err.Error()
		}
		if (err == nil) != (c.code == 200) || !strings.Contains(out, c.says) {
			t.Errorf("%d %+v: %v, %q", c.code, c.reply, err, out)
		}
	}
}

// In the environment of a server that server is asked, also over TLS with a certificate for another name; --server
// comes first.
func TestHealthInTheServersEnvironment(t *testing.T) {
	ready := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		clitest.Answer(t, w, api.ServerStatus{Status: "ok", Version: "v1"})
	})
	plain, secure := httptest.NewServer(ready), httptest.NewTLSServer(ready)
	defer plain.Close()
	defer secure.Close()
	port := func(s *httptest.Server) string { return s.URL[strings.LastIndexByte(s.URL, ':'):] }
	for name, c := range map[string]struct {
		env  map[string]string
		args []string
		says string
	}{
		"all addresses":    {map[string]string{"STINT_LISTEN": "0.0.0.0" + port(plain)}, nil, plain.URL + " is ready"},
		"no address":       {map[string]string{"STINT_LISTEN": port(plain)}, nil, plain.URL + " is ready"},
		"TLS":              {map[string]string{"STINT_LISTEN": "0.0.0.0" + port(secure), "STINT_TLS_CERT": "/none"}, nil, secure.URL + " is ready"},
		"--server":         {map[string]string{"STINT_LISTEN": "0.0.0.0:1"}, []string{"--server", plain.URL}, plain.URL + " is ready"},
		"STINT_SERVER":     {map[string]string{"STINT_LISTEN": "0.0.0.0:1", "STINT_SERVER": plain.URL}, nil, plain.URL + " is ready"},
		"nobody listens":   {map[string]string{"STINT_LISTEN": "127.0.0.1:1"}, nil, "no answer from http://127.0.0.1:1"},
		"not an address":   {map[string]string{"STINT_LISTEN": "7846"}, nil, `STINT_LISTEN: "7846" is not ADDRESS:PORT`},
		"not a server URL": {nil, []string{"--server", "localhost"}, "--server: "},
	} {
		console, printed := clitest.Console(t, func(name string) string { return c.env[name] })
		cmd := newCommand(console)
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetArgs(c.args)
		err := cmd.ExecuteContext(t.Context())
		out, _ := printed()
		if err != nil {
			out = err.Error()
		}
		if !strings.Contains(out, c.says) {
			t.Errorf("%s: %v, %q, want %q", name, err, out, c.says)
		}
		if usage := (*option.UsageError)(nil); strings.HasPrefix(name, "not ") != errors.As(err, &usage) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Each of several servers must be ready, and those that are not are named.
func TestHealthOfSeveralServers(t *testing.T) {
	ready := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		clitest.Answer(t, w, api.ServerStatus{Status: "ok", Version: "v1"})
	}))
	defer ready.Close()
	for servers, failed := range map[string]string{
		ready.URL: "", ready.URL + "," + ready.URL + "/": "",
		"http://127.0.0.1:1," + ready.URL:                    "127.0.0.1:1",
		ready.URL + ",http://127.0.0.1:1":                    "127.0.0.1:1",
		"http://127.0.0.1:1,http://127.0.0.1:2," + ready.URL: "127.0.0.1:1 127.0.0.1:2",
	} {
		console, printed := clitest.Console(t, func(string) string { return "" })
		cmd := newCommand(console)
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetArgs([]string{"--server", servers})
		err := cmd.ExecuteContext(t.Context())
		stdout, stderr := printed()
		if (err == nil) != (failed == "") || !strings.Contains(stdout, ready.URL+" is ready") {
			t.Errorf("%s: %v, %q", servers, err, stdout)
		}
		for _, address := range strings.Fields(failed) {
			if !strings.Contains(stderr+err.Error(), address) {
				t.Errorf("%s: %s is not named in %q, %v", servers, address, stderr, err)
			}
		}
	}
}

func TestLocal(t *testing.T) {
	for listen, want := range map[string]string{
		"127.0.0.1:7846": "127.0.0.1:7846", "0.0.0.0:1": "127.0.0.1:1", ":2": "127.0.0.1:2", "[::]:3": "[::1]:3", "[fe80::1]:4": "[fe80::1]:4", "db.example.org:5": "db.example.org:5",
	} {
		if got, err := local(listen); err != nil || got != want {
			t.Errorf("%s: %q, %v", listen, got, err)
		}
	}
}
