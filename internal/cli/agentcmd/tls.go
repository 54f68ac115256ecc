package agentcmd

import (
	"crypto/tls"
	"crypto/x509"
	"os"

	"stint.dev/stint/internal/cli/option"
)

// tlsRows say what a client trusts and shows when the server's address is https.
func tlsRows() []option.Option {
	return []option.Option{
		{Name: "tls-ca", Value: "FILE", Help: "certificates (PEM) of further authorities that the server's certificate may come from"},
		{Name: "tls-cert", Value: "FILE", Help: "client certificate (PEM) to show the server; needs --tls-key"},
		{Name: "tls-key", Value: "FILE", Help: "private key (PEM) of the client certificate"},
	}
}

// clientTLS reads what the options name; nil when they name nothing.
func clientTLS(opts *option.Set) (*tls.Config, error) {
	roots, err := authorities(opts.Text("tls-ca"))
	if err != nil {
		return nil, err
	}
	cert, key := opts.Text("tls-cert"), opts.Text("tls-key")
	if (cert == "") != (key == "") {
		return nil, option.Usagef("--tls-cert and --tls-key belong together: one of them is missing")
	}
	if roots == nil && cert == "" {
		return nil, nil //nolint:nilnil // nil: the system's defaults
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, option.Usagef("--tls-cert, --tls-key: %v", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// authorities are the system's and those in a file; nil for no file.
func authorities(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil //nolint:nilnil // nil: the system's
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, option.Usagef("--tls-ca: %v", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool() // a system without any
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, option.Usagef("--tls-ca: there is no PEM certificate in %s", path)
	}
	return roots, nil
}
