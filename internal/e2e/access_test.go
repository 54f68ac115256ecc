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
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
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
	said := &watched{}
	cmd.Stderr = said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server ended with %v\n%s", err, said)
		}
	})
	eventually(t, "the server serves", func() bool { return strings.Contains(said.String(), "serving https://") })
	first := regexp.MustCompile(`stint_[A-Za-z0-9_-]{43}`).FindString(said.String())
	if first == "" {
		t.Fatalf("no first token was shown:\n%s", said)
	}
	made := h.run("token", "create", "--data", data, "--name", "ci", "--scope", "agent", "--json")
	var token struct{ Token string }
	if err := json.Unmarshal([]byte(made.stdout), &token); err != nil || token.Token == "" {
		t.Fatalf("token create: %+v, %v", made, err)
	}

	url := "https://" + addr
	trust := []string{"--server", url, "--tls-ca", cert}
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
	if audit, err := fetch(url+"/api/v1/audit", first, cert); err != nil || !strings.Contains(audit, `"action":"stint token create"`) {
		t.Errorf("audit log: %s, %v", audit, err)
	}
	if r := run("doctor", token.Token, agent); !strings.Contains(r.stdout, "valid until") {
		t.Errorf("doctor: %+v", r)
	}
	if r := run("run", token.Token, []string{"--server", url, "--flush-timeout", "1s"}, "--job", "untrusted", "--", "true"); r.code != 0 || !strings.Contains(r.stderr, "certificate") {
		t.Errorf("run without trusting the server: %+v", r)
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

// watched is what a program has said so far.
type watched struct {
	mu   sync.Mutex
	said bytes.Buffer
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.said.Write(p)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.said.String()
}
