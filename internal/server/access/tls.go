package access

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificateLook is how often the files of a certificate are looked at, and then only
// when somebody connects.
const certificateLook = 5 * time.Second

// TLSConfig makes the configuration of a server that speaks TLS. The certificate is read
// again when its files change; a pair that does not fit is logged and the old one stays.
// clientCA, which may be empty, names the authorities of agents' certificates: who shows
// one must show a good one, and Config.AgentCertificates says who must show one.
func TLSConfig(certFile, keyFile, clientCA string, now func() time.Time, log *slog.Logger) (*tls.Config, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	if err := c.load(); err != nil {
		return nil, err
	}
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current(now()), nil
		},
	}
	if clientCA == "" {
		return cfg, nil
	}
	pem, err := os.ReadFile(clientCA)
	if err != nil {
		return nil, fmt.Errorf("read the authorities of client certificates: %w", err)
	}
	cfg.ClientCAs = x509.NewCertPool()
	if !cfg.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read the authorities of client certificates: there is no PEM certificate in %s", clientCA)
	}
	cfg.ClientAuth = tls.VerifyClientCertIfGiven
	return cfg, nil
}

// certificate is a certificate and its key in files that somebody renews.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu     sync.Mutex
	pair   *tls.Certificate
	stamp  string // of the files that were read last, good or not
	looked time.Time
}

// load reads the pair of files.
func (c *certificate) load() error {
	c.stamp = c.stamps()
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("read the certificate %s with the key %s: %w", c.certFile, c.keyFile, err)
	}
	c.pair = &pair
	return nil
}

// stamps tells whether the files changed.
func (c *certificate) stamps() string {
	out := ""
	for _, path := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(path)
		if err != nil {
			out += err.Error()
			continue
		}
		out += fmt.Sprintf("%d %d;", info.ModTime().UnixNano(), info.Size())
	}
	return out
}

// current is the certificate to show now.
func (c *certificate) current(now time.Time) *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.looked) < certificateLook {
		return c.pair
	}
	c.looked = now
	if c.stamps() == c.stamp {
		return c.pair
	}
	if err := c.load(); err != nil {
		c.log.Error("the certificate's files changed and cannot be used; the old one stays", "error", err)
		return c.pair
	}
	c.log.Info("the certificate was renewed", "file", c.certFile)
	return c.pair
}
