package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stint.dev/stint/internal/store/postgrestest"
)

// certificate writes a self-signed certificate of 127.0.0.1 and its key.
func certificate(t *testing.T, dir, name string) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 3, 0),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	write := func(file, kind string, der []byte) string {
		path := filepath.Join(dir, file)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write(name+".pem", "CERTIFICATE", der), write(name+"-key.pem", "PRIVATE KEY", secret)
}

// A server that is open to the network makes its first token; a run goes over TLS with it,
// a client certificate, and a token of its own that reads nothing.
func TestRunOverTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key := certificate(t, dir, "server")
	agentCert, agentKey := certificate(t, dir, "agent")
	h := newHost(t)
	addr := freeAddress(t)
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	cmd := h.command(stint, "server", "--data", data, "--listen", "0.0.0.0:"+port,
		"--tls-cert", cert, "--tls-key", key, "--client-ca", agentCert)
	printed := &watched{}
	cmd.Stderr = printed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server ended with %v\n%s", err, printed)
		}
	})
	eventually(t, "the server serves", func() bool { return strings.Contains(printed.String(), "address=https://") })
	file := filepath.Join(data, "admin.token")
	text, err := os.ReadFile(file)
	first := strings.TrimSpace(string(text))
	if err != nil || !secret.MatchString(first) {
		t.Fatalf("the first token %q, %v\n%s", text, err, printed)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of %s: %v, %v", file, info.Mode(), err)
	}
	if secret.MatchString(printed.String()) || !strings.Contains(printed.String(), file) {
		t.Errorf("the log shows the first token, or does not name its file:\n%s", printed)
	}
	url := "https://" + addr
	trust := []string{"--server", url, "--tls-ca", cert}
	as := func(secret string, args ...string) result {
		cmd := h.command(stint, append(args, trust...)...)
		cmd.Env = append(cmd.Env, "STINT_TOKEN="+secret)
		return finish(t, cmd)
	}
	made := as(first, "token", "create", "--name", "ci", "--scope", "agent", "--json")
	var token struct{ Token string }
	if err := json.Unmarshal([]byte(made.stdout), &token); err != nil || token.Token == "" {
		t.Fatalf("token create: %+v, %v", made, err)
	}

	agent := append(trust, "--tls-cert", agentCert, "--tls-key", agentKey)
	run := func(who, secret string, flags []string, args ...string) result {
		cmd := h.command(stint, append(append([]string{who}, flags...), args...)...)
		cmd.Env = append(cmd.Env, "STINT_TOKEN="+secret)
		return finish(t, cmd)
	}
	if r := run("run", token.Token, agent, "--job", "tls", "--", "sh", "-c", `echo "over $STINT_SERVER"; env | grep -c STINT_TOKEN; exit 3`); r.code != 3 || !strings.Contains(r.stdout, "over "+url) || !strings.Contains(r.stdout, "\n0\n") {
		t.Errorf("run: %+v", r)
	}
	if r := run("show", first, trust, "tls#1"); r.code != 0 || !strings.Contains(r.stdout, "failed") {
		t.Errorf("show with the first token: %+v", r)
	}
	if r := run("show", token.Token, trust, "tls#1"); r.code == 0 || !strings.Contains(r.stderr, "scope") {
		t.Errorf("show with the agent's token: %+v", r)
	}
	if r := run("run", token.Token, append(trust, "--flush-timeout", "1s"), "--job", "bare", "--", "true"); r.code != 0 || !strings.Contains(r.stderr, "client certificate") {
		t.Errorf("run without the client certificate: %+v", r)
	}
	if audit, err := fetch(url+"/api/v1/audit", first, cert); err != nil || !strings.Contains(audit, `"action":"POST /api/v1/tokens"`) {
		t.Errorf("audit log: %s, %v", audit, err)
	}
	if r := run("doctor", token.Token, agent); !strings.Contains(r.stdout, "valid until") {
		t.Errorf("doctor: %+v", r)
	}
	if r := run("run", token.Token, []string{"--server", url, "--flush-timeout", "1s"}, "--job", "untrusted", "--", "true"); r.code != 0 || !strings.Contains(r.stderr, "certificate") {
		t.Errorf("run without trusting the server: %+v", r)
	}

	// The file of the first token goes with it.
	var second struct{ Token string }
	made = as(first, "token", "create", "--name", "ada", "--scope", "admin", "--json")
	if err := json.Unmarshal([]byte(made.stdout), &second); err != nil {
		t.Fatalf("token create: %+v, %v", made, err)
	}
	if r := as(second.Token, "token", "revoke", "ci"); r.code != 0 {
		t.Errorf("revoke: %+v", r)
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("the file is gone before its token: %v", err)
	}
	if r := as(second.Token, "token", "revoke", "first"); r.code != 0 || !strings.Contains(r.stdout, "is revoked") {
		t.Errorf("revoke: %+v", r)
	}
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file outlived its token: %v", err)
	}
}

// secret is what the secret of a token looks like.
var secret = regexp.MustCompile(`stint_[A-Za-z0-9_-]{43}`)

// The commands about tokens work on a server, and on a data directory while no server
// uses it.
func TestTokenCommands(t *testing.T) {
	s, h := startServer(t), newHost(t)
	list := func(args ...string) []string {
		t.Helper()
		r := h.run(append([]string{"token", "list", "--json"}, args...)...)
		var all struct {
			Tokens []struct{ Name, Scope string }
		}
		if err := json.Unmarshal([]byte(r.stdout), &all); r.code != 0 || err != nil {
			t.Fatalf("token list %v: %+v, %v", args, r, err)
		}
		var names []string
		for _, one := range all.Tokens {
			names = append(names, one.Name+" "+one.Scope)
		}
		return names
	}
	create := func(args ...string) result {
		return h.run(append([]string{"token", "create", "--json"}, args...)...)
	}
	if r := create("--server", s.url, "--name", "ci", "--scope", "agent", "--expires", "1h"); r.code != 0 || !secret.MatchString(r.stdout) {
		t.Errorf("on the server: %+v", r)
	}
	if r := create("--server", s.url, "--name", "ci", "--scope", "root"); r.code != 2 {
		t.Errorf("an unknown scope: %+v", r)
	}
	if r := create("--server", s.url, "--data", s.data, "--name", "x", "--scope", "read"); r.code != 2 {
		t.Errorf("both places: %+v", r)
	}
	if got := list("--server", s.url); !slices.Equal(got, []string{"ci agent"}) {
		t.Errorf("tokens %v", got)
	}
	for _, args := range [][]string{
		{"create", "--name", "x", "--scope", "admin"}, {"list"}, {"revoke", "ci"},
	} {
		r := h.run(append(append([]string{"token"}, args...), "--data", s.data)...)
		if r.code != 1 || !strings.Contains(r.stderr, "--server") || !strings.Contains(r.stderr, s.data) {
			t.Errorf("%v beside the running server: %+v", args, r)
		}
	}
	if _, err := os.Stat(filepath.Join(s.data, "admin.token")); err == nil {
		t.Error("a server that trusts its own user made a first token")
	}
	s.stop()
	if r := create("--data", s.data, "--name", "beside", "--scope", "admin"); r.code != 0 || !secret.MatchString(r.stdout) {
		t.Errorf("on the data directory: %+v", r)
	}
	cmd := h.command(stint, "token", "revoke", "ci")
	cmd.Env = append(cmd.Env, "STINT_DATA="+s.data, "STINT_SERVER="+s.url)
	if r := finish(t, cmd); r.code != 0 {
		t.Errorf("with STINT_DATA: %+v", r)
	}
	if got := list("--data", s.data); !slices.Equal(got, []string{"beside admin"}) {
		t.Errorf("tokens %v", got)
	}
	cmd = h.command(stint, "token", "list", "--server", s.url)
	cmd.Env = append(cmd.Env, "STINT_DATA="+s.data)
	if r := finish(t, cmd); r.code == 0 || !strings.Contains(r.stderr, "refused") {
		t.Errorf("--server does not win over STINT_DATA: %+v", r)
	}
}

// A server that needs tokens and has PostgreSQL writes the first one to the default data
// directory, and shows it only when that cannot be written.
func TestFirstTokenWithPostgreSQL(t *testing.T) {
	for _, writable := range []bool{true, false} {
		h := newHost(t)
		if !writable { // a file where the directory would be
			h.state = filepath.Join(h.state, "file")
			if err := os.WriteFile(h.state, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s := &server{t: t, url: "http://" + freeAddress(t), database: postgrestest.URL(t), host: h}
		s.start("--require-token")
		t.Cleanup(s.stop)
		text, err := os.ReadFile(filepath.Join(h.state, "server", "admin.token"))
		shown := secret.FindString(s.stderr.String())
		if writable && (err != nil || !secret.Match(text) || shown != "") {
			t.Errorf("file %q, %v; shown %q", text, err, shown)
		}
		if !writable && (err == nil || shown == "") {
			t.Errorf("the token is neither in a file nor shown: %s", s.stderr)
		}
		if answer, err := fetch(s.url+"/api/v1/me", strings.TrimSpace(string(text))+shown, os.DevNull); err != nil || !strings.Contains(answer, `"scope":"admin"`) {
			t.Errorf("the first token is worth %s, %v", answer, err)
		}
	}
}

func TestBadAccessOptions(t *testing.T) {
	h := newHost(t)
	cert, key := certificate(t, t.TempDir(), "server")
	for _, args := range [][]string{
		{"server", "--tls-cert", cert},
		{"server", "--client-ca", cert},
		{"server", "--public-url", "stint.example.org"},
	} {
		if r := h.run(args...); r.code == 0 || strings.Count(strings.TrimSpace(r.stderr), "\n") > 0 || !strings.Contains(r.stderr, "--") {
			t.Errorf("%v: %+v", args, r)
		}
	}
	// A job runs whatever is wrong with the way to its server.
	for _, args := range [][]string{
		{"run", "--tls-key", key, "--", "sh", "-c", "exit 7"},
		{"run", "--tls-ca", key, "--", "sh", "-c", "exit 7"},
		{"run", "--tls-cert", key, "--tls-key", cert, "--", "sh", "-c", "exit 7"},
	} {
		if r := h.run(args...); r.code != 7 || !strings.HasPrefix(r.stderr, "stint: "+args[1]+": ") || !strings.Contains(r.stderr, "stint flush") {
			t.Errorf("%v: %+v", args, r)
		}
	}
	r := h.run("server", "--listen", "127.0.0.1:0", "--oidc-issuer", "http://id.example.org", "--data", t.TempDir())
	if r.code == 0 || !strings.Contains(r.stderr, "https") {
		t.Errorf("an issuer without TLS: %+v", r)
	}
}

// fetch asks a server that speaks TLS.
func fetch(address, token, authority string) (string, error) {
	pem, err := os.ReadFile(authority)
	if err != nil {
		return "", err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	req, err := http.NewRequest("GET", address, nil)
	if err != nil {
		return "", err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	c := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
	resp, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// watched is what a program has printed so far.
type watched struct {
	mu      sync.Mutex
	printed bytes.Buffer
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.printed.Write(p)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.printed.String()
}
