package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"stint.dev/stint/job"
)

// renewBefore is how long before its end a certificate becomes a warning.
const renewBefore = 14 * 24 * time.Hour

// checkTLS checks the server's certificate. roots are the authorities to trust; nil for
// the system's.
func checkTLS(ctx context.Context, server string, roots *x509.CertPool, now time.Time) Finding {
	u, err := url.Parse(server)
	switch {
	case err != nil:
		return Finding{"tls", "error", err.Error(), "correct --server"}
	case u.Scheme != "https" && loopback(u.Hostname()):
		return Finding{"tls", "ok", "not needed: the server is on this host", ""}
	case u.Scheme != "https":
		return Finding{"tls", "warning", "the token and all output cross the network unencrypted", "put TLS in front of the server and use its https address"}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	dialer := tls.Dialer{Config: &tls.Config{
		ServerName: u.Hostname(), InsecureSkipVerify: true, // it is read here, and verified below
	}}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "443")))
	if err != nil {
		return Finding{"tls", "warning", fmt.Sprintf("the certificate cannot be checked: %v", err), "check the address, and whether a proxy is in the way"}
	}
	defer conn.Close()
	var chain []*x509.Certificate
	if c, ok := conn.(*tls.Conn); ok {
		chain = c.ConnectionState().PeerCertificates
	}
	if len(chain) == 0 {
		return Finding{"tls", "error", "the server shows no certificate", "correct the TLS configuration in front of the server"}
	}
	return judgeCertificate(chain, u.Hostname(), roots, now)
}

// judgeCertificate verifies a chain as a client would, and reports until when it is valid.
func judgeCertificate(chain []*x509.Certificate, host string, roots *x509.CertPool, now time.Time) Finding {
	leaf, between := chain[0], x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	until := leaf.NotAfter.UTC().Format("2006-01-02")
	issuer := job.Quote(cmp.Or(leaf.Issuer.CommonName, strings.Join(leaf.Issuer.Organization, ", "), "an unnamed issuer"))
	_, err := leaf.Verify(x509.VerifyOptions{DNSName: host, Intermediates: between, Roots: roots, CurrentTime: now})
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	switch {
	case now.After(leaf.NotAfter):
		return Finding{"tls", "error", "the certificate expired on " + until, "renew it"}
	case now.Before(leaf.NotBefore):
		return Finding{"tls", "error", "the certificate is valid only from " + leaf.NotBefore.UTC().Format(time.RFC3339), "check this host's clock"}
	case errors.As(err, &unknown):
		return Finding{"tls", "error", "the certificate is issued by " + issuer + ", which this host does not trust", "name the file of that authority with --tls-ca (STINT_TLS_CA), or add it to the system's certificates"}
	case errors.As(err, &name):
		return Finding{"tls", "error", "the certificate is for " + strings.Join(leaf.DNSNames, ", ") + " and not for " + host, "use one of its names in --server"}
	case err != nil:
		return Finding{"tls", "error", err.Error(), "correct the certificate"}
	case leaf.NotAfter.Sub(now) < renewBefore:
		return Finding{"tls", "warning", "the certificate is valid only until " + until + ", issued by " + issuer, "renew it"}
	}
	return Finding{"tls", "ok", "the certificate is valid until " + until + ", issued by " + issuer, ""}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
