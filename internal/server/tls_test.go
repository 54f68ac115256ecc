package server_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/server"
	accessapi "stint.dev/stint/internal/server/access"
)

// authority signs certificates for tests.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t}
	a.cert, a.key = a.sign("authority", nil)
	return a
}

func (a *authority) sign(name string, by *authority) (*x509.Certificate, *ecdsa.PrivateKey) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		a.t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, signer := tmpl, key
	if by != nil {
		parent, signer = by.cert, by.key
	} else {
		tmpl.IsCA, tmpl.BasicConstraintsValid = true, true
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// files writes a new certificate of the authority, its key, and the authority itself.
func (a *authority) files(dir, name string) (cert, key, ca string) {
	c, k := a.sign(name, a)
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	write := func(file, kind string, der []byte) string {
		path := filepath.Join(dir, file)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			a.t.Fatal(err)
		}
		return path
	}
	return write("cert.pem", "CERTIFICATE", c.Raw), write("key.pem", "PRIVATE KEY", der), write("ca.pem", "CERTIFICATE", a.cert.Raw)
}

func (a *authority) client(name string) *http.Client {
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	cfg := &tls.Config{RootCAs: roots}
	if name != "" {
		c, k := a.sign(name, a)
		cfg.Certificates = []tls.Certificate{{Certificate: [][]byte{c.Raw}, PrivateKey: k}}
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true}}
}

func TestAgentsShowACertificate(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	cert, key, roots := ca.files(t.TempDir(), "server")
	cfg, err := accessapi.TLSConfig(cert, key, roots, time.Now, slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	l := start(t, server.Config{TLS: cfg, AgentCertificates: true})
	s := newSketch(t, "j", nil).command()
	post := func(c *http.Client) (int, error) {
		resp, err := c.Post("https://"+l.addr+"/api/v1/runs/"+s.id+"/attempts/1/journal?offset=0", "application/octet-stream", bytes.NewReader(s.bytes()))
		if err != nil {
			return 0, err
		}
		return resp.StatusCode, resp.Body.Close()
	}
	if got, err := post(ca.client("")); err != nil || got != http.StatusUnauthorized {
		t.Errorf("an agent without a certificate: %d, %v", got, err)
	}
	strange := stranger.client("agent")
	strange.Transport.(*http.Transport).TLSClientConfig.RootCAs = ca.client("").Transport.(*http.Transport).TLSClientConfig.RootCAs
	if got, err := post(strange); err == nil {
		t.Errorf("an agent with a stranger's certificate was answered %d", got)
	}
	resp, err := ca.client("").Get("https://" + l.addr + "/api/v1/runs")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("a person without a certificate: %v, %v", resp, err)
	}
	_ = resp.Body.Close()
	if got, err := post(ca.client("agent")); err != nil || got != http.StatusOK {
		t.Errorf("an agent with its certificate: %d, %v", got, err)
	}
}

func TestCertificateIsRenewed(t *testing.T) {
	dir := t.TempDir()
	ca := newAuthority(t)
	cert, key, _ := ca.files(dir, "first")
	var log bytes.Buffer
	shown, err := server.Certificate(cert, key, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	want := func(name string) {
		t.Helper()
		now = now.Add(6 * time.Second)
		leaf, err := x509.ParseCertificate(shown(now).Certificate[0])
		if err != nil || leaf.Subject.CommonName != name {
			t.Errorf("shown: %s, %v; want %s", leaf.Subject.CommonName, err, name)
		}
	}
	want("first")
	ca.files(dir, "second")
	want("second")
	if err := os.WriteFile(key, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	want("second")
	want("second")
	if n := strings.Count(log.String(), "keeps the old certificate"); n != 1 {
		t.Errorf("a broken pair was logged %d times:\n%s", n, &log)
	}
	ca.files(dir, "third")
	want("third")
	if err := os.Remove(cert); err != nil {
		t.Fatal(err)
	}
	want("third")
}

func TestTLSFilesThatCannotBeUsed(t *testing.T) {
	ca := newAuthority(t)
	dir := t.TempDir()
	cert, key, roots := ca.files(dir, "server")
	_, otherKey, _ := ca.files(t.TempDir(), "other")
	for name, f := range map[string][3]string{
		"missing":              {dir + "/none", key, ""},
		"key of another":       {cert, otherKey, ""},
		"no authorities":       {cert, key, dir + "/none"},
		"authorities not PEM":  {cert, key, key},
		"certificate as a key": {cert, roots, ""},
	} {
		if _, err := accessapi.TLSConfig(f[0], f[1], f[2], time.Now, slog.Default()); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
