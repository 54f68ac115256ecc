package command

import (
	"crypto/tls"
	"crypto/x509"
	"time"

	"stint.dev/stint/internal/agent/bounded"
	"stint.dev/stint/internal/cli/configfile"
	"stint.dev/stint/internal/cli/option"
)

// tlsRows returns the options about the server's certificate and the client's.
func tlsRows() []option.Option {
	return []option.Option{
		{Name: "tls-ca", Value: "FILE", Inherited: true, HostFile: true, Effect: option.Connects, Help: "further authorities (PEM) to verify the server's certificate with"},
		{Name: "tls-cert", Value: "FILE", Inherited: true, HostFile: true, Effect: option.Connects, Help: "client certificate (PEM) to show the server; needs --tls-key"},
		{Name: "tls-key", Value: "FILE", Inherited: true, HostFile: true, Effect: option.Connects, Help: "private key (PEM) of the client certificate"},
	}
}

// clientTLS reads what the options name; nil when they name nothing.
func clientTLS(opts *option.Set) (*tls.Config, error) {
	roots, err := Authorities(opts)
	if err != nil {
		return nil, err
	}
	cert, key := opts.Text("tls-cert"), opts.Text("tls-key")
	switch {
	case cert != "" && key == "":
		return nil, option.Usagef("%s: a client certificate needs its private key too: give --tls-key", opts.Source("tls-cert"))
	case cert == "" && key != "":
		return nil, option.Usagef("%s: a private key needs its client certificate too: give --tls-cert", opts.Source("tls-key"))
	}
	if roots == nil && cert == "" {
		return nil, nil //nolint:nilnil // nil: the system's defaults
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	if cert != "" {
		pair, err := keyPair(cert, key)
		if err != nil {
			return nil, option.Usagef("%s: the client certificate cannot be read: %v", opts.Source("tls-cert"), err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// Authorities returns the system's authorities with those in the file that the options name; nil for
// no file.
func Authorities(opts *option.Set) (*x509.CertPool, error) {
	path := opts.Text("tls-ca")
	if path == "" {
		return nil, nil //nolint:nilnil // nil: the system's
	}
	pem, err := readFile(path)
	if err != nil {
		return nil, option.Usagef("%s: %v", opts.Source("tls-ca"), err)
	}
	roots, err := bounded.Call(FileLimit, x509.SystemCertPool)
	if err != nil {
		roots = x509.NewCertPool() // a system without any, or one that does not answer
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, option.Usagef("%s: there is no PEM certificate in %s", opts.Source("tls-ca"), path)
	}
	return roots, nil
}

func keyPair(cert, key string) (tls.Certificate, error) {
	certPEM, err := readFile(cert)
	if err != nil {
		return tls.Certificate{}, err
	}
	keyPEM, err := readFile(key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(certPEM, keyPEM)
}

// FileLimit bounds the wait for a file that an option or the environment names: no job waits
// longer for a file system that does not answer.
const FileLimit = 2 * time.Second

// mostPEM is the size of the largest file with certificates or a key, in bytes.
const mostPEM = 16 << 20

func readFile(path string) ([]byte, error) { return configfile.ReadFile(path, mostPEM, FileLimit) }
