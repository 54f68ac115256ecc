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

// certificateInterval is the least time between two checks whether the files of a certificate have
// changed. They are checked when a client connects.
const certificateInterval = 5 * time.Second

// TLSConfig returns the TLS configuration of a server. The certificate is read again when its files
// change; if the new files are invalid, an error is logged and the old certificate is kept. clientCA,
// which may be empty, is the file with the authorities of clients' certificates: a client may have no
// certificate, but not an invalid one. Config.AgentCertificates makes one mandatory for agents.
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

// certificate is a certificate and its key in files that may be replaced.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu        sync.Mutex
	pair      *tls.Certificate
	stamp     string // of the files that were read last, valid or not
	checkedAt time.Time
}

// load reads both files.
func (c *certificate) load() error {
	c.stamp = c.fileStamp()
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("read the certificate %s with the key %s: %w", c.certFile, c.keyFile, err)
	}
	c.pair = &pair
	return nil
}

// fileStamp returns a text that changes when the files change.
func (c *certificate) fileStamp() string {
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

// current returns the certificate, after it has read changed files.
func (c *certificate) current(now time.Time) *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.checkedAt) < certificateInterval {
		return c.pair
	}
	c.checkedAt = now
	if c.fileStamp() == c.stamp {
		return c.pair
	}
	if err := c.load(); err != nil {
		c.log.Error("the files of the certificate changed and cannot be used; the server keeps the old certificate", "error", err)
		return c.pair
	}
	c.log.Info("the certificate was renewed", "file", c.certFile)
	return c.pair
}
