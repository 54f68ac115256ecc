package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// logLine is a line of the server's log with --log json.
type logLine map[string]any

// logLines reads a log of which every line must be JSON with a time, a level and a text.
func logLines(t *testing.T, text string) []logLine {
	t.Helper()
	var all []logLine
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		var l logLine
		if err := json.Unmarshal([]byte(line), &l); err != nil || l["time"] == nil || l["level"] == nil || l["msg"] == nil {
			t.Errorf("not a line of the log: %q (%v)", line, err)
			continue
		}
		all = append(all, l)
	}
	return all
}

// line returns the only line with a text, or beginning with it.
func line(t *testing.T, all []logLine, msg string) logLine {
	t.Helper()
	var found []logLine
	for _, l := range all {
		if strings.HasPrefix(l["msg"].(string), msg) {
			found = append(found, l)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d lines %q in %v", len(found), msg, all)
	}
	return found[0]
}

// Everything that the server says is in its log, in one format: that it serves, without TLS
// on a network, who logs in and who changes what, that it stops, and why it cannot start.
func TestServerLog(t *testing.T) {
	h := newHost(t)
	_, port, err := net.SplitHostPort(freeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	printed := &watched{}
	data := filepath.Join(t.TempDir(), "data")
	cmd := h.command(stint, "server", "--log", "json", "--data", data, "--listen", "0.0.0.0:"+port)
	cmd.Stderr = printed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	url := "http://127.0.0.1:" + port
	eventually(t, "the server answers", func() bool {
		resp, err := http.Get(url + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	secret, err := os.ReadFile(filepath.Join(data, "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	token := strings.TrimSpace(string(secret))
	ask := func(method, path, body string) (int, string) {
		req, err := http.NewRequest(method, url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(answer)
	}
	if status, answer := ask("GET", "/api/v1/settings", ""); status != 200 || !strings.Contains(answer, `"plain_http":true`) {
		t.Errorf("settings: %d %s", status, answer)
	}
	if status, answer := ask("POST", "/api/v1/login", `{"token":"`+token+`"}`); status != 200 {
		t.Errorf("login: %d %s", status, answer)
	}
	long := strings.Repeat("x", 3000)
	ask("PUT", "/api/v1/jobs/"+long+"/policy", "quiet: 1m")
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, printed)
	}
	all := logLines(t, printed.String())
	if l := line(t, all, "serving"); l["address"] != "http://0.0.0.0:"+port && l["address"] != "http://[::]:"+port || l["data"] != data {
		t.Errorf("%v", l)
	}
	if l := line(t, all, "PLAIN HTTP"); l["level"] != "WARN" {
		t.Errorf("%v", l)
	}
	if l := line(t, all, "log in"); l["who"] != "first" || l["from"] != "127.0.0.1" || l["target"] != "/api/v1/login" {
		t.Errorf("%v", l)
	}
	if l := line(t, all, "PUT /api/v1/jobs/{job}/policy"); l["who"] != "first" || len(l["target"].(string)) > 600 || strings.Contains(l["target"].(string), `"`) {
		t.Errorf("%v", l)
	}
	line(t, all, "stopping")
	line(t, all, "stopped")
	if strings.Contains(printed.String(), token) {
		t.Error("the log has the token that somebody brought")
	}

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	r := h.run("server", "--log", "json", "--data", data, "--listen", taken.Addr().String())
	if r.code != 1 || line(t, logLines(t, r.stderr), "the server failed")["level"] != "ERROR" {
		t.Errorf("%+v", r)
	}
}

// On a loopback address, and where a proxy speaks TLS, there is nothing to warn of.
func TestPlainHTTPIsReportedWhereItMatters(t *testing.T) {
	for name, c := range map[string]struct {
		listen, public string
		warns          bool
	}{
		"loopback":             {"127.0.0.1:0", "", false},
		"a network":            {"0.0.0.0:0", "", true},
		"an address in http":   {"0.0.0.0:0", "http://stint.example.org", true},
		"a proxy speaks https": {"0.0.0.0:0", "https://stint.example.org", false},
	} {
		h := newHost(t)
		cmd := h.command(stint, "server", "--data", filepath.Join(h.state, "data"), "--listen", c.listen, "--public-url", c.public)
		printed := &watched{}
		cmd.Stderr = printed
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the server serves", func() bool { return bytes.Contains([]byte(printed.String()), []byte("msg=serving")) })
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(printed.String(), "PLAIN HTTP") != c.warns {
			t.Errorf("%s:\n%s", name, printed)
		}
	}
}
