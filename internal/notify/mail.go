package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"net/url"
	"strings"
	"time"

	"stint.dev/stint/internal/notify/message"
)

// mailer sends e-mail over SMTP: smtp://user:password@host:587/?from=a@b&to=c@d,e@f. The scheme smtp uses
// STARTTLS if the server supports it, and requires it for a password; smtps is TLS from the first byte,
// usually on port 465.
type mailer struct {
	host, port     string
	direct         bool // TLS from the first byte
	user, password string
	from           *mail.Address
	to             []*mail.Address
	guard          guard
	roots          *tls.Config // nil for the roots of the system
}

func newMail(u *url.URL, g guard) (*mailer, error) {
	if err := checkHost(u.Hostname(), g); err != nil {
		return nil, err
	}
	m := &mailer{host: u.Hostname(), port: u.Port(), direct: strings.EqualFold(u.Scheme, "smtps"), guard: g}
	if m.port == "" {
		m.port = "587"
		if m.direct {
			m.port = "465"
		}
	}
	m.user = u.User.Username()
	m.password, _ = u.User.Password()
	q := u.Query()
	for key := range q {
		if key != "from" && key != "to" {
			return nil, fmt.Errorf("url: smtp has the parameters from and to, not %q", message.Plain(key, 50))
		}
	}
	var err error
	if m.from, err = mail.ParseAddress(q.Get("from")); err != nil {
		return nil, errors.New("url: from is not an e-mail address; write smtp://host/?from=stint@example.org&to=you@example.org")
	}
	if m.to, err = mail.ParseAddressList(q.Get("to")); err != nil {
		return nil, errors.New("url: to is not a list of e-mail addresses that are separated by commas")
	}
	return m, nil
}

func (m *mailer) Send(ctx context.Context, msg message.Message) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	conn, err := m.guard.dialer().DialContext(ctx, "tcp", net.JoinHostPort(m.host, m.port))
	if err != nil {
		return failed(err)
	}
	defer conn.Close() //nolint:errcheck // it may be closed already
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return failed(err)
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if err := m.transfer(conn, msg); err != nil {
		return mailFailed(err)
	}
	return nil
}

func (m *mailer) tls() *tls.Config {
	c := &tls.Config{ServerName: m.host, MinVersion: tls.VersionTLS12}
	if m.roots != nil {
		c.RootCAs = m.roots.RootCAs
	}
	return c
}

// transfer sends a message over a connection to the mail server.
func (m *mailer) transfer(conn net.Conn, msg message.Message) error {
	if m.direct {
		conn = tls.Client(conn, m.tls())
	}
	c, err := smtp.NewClient(conn, m.host)
	if err != nil {
		return err
	}
	if ok, _ := c.Extension("STARTTLS"); ok && !m.direct {
		if err := c.StartTLS(m.tls()); err != nil {
			return err
		}
	}
	if m.user != "" {
		if err := c.Auth(smtp.PlainAuth("", m.user, m.password, m.host)); err != nil {
			return fmt.Errorf("log in as %s: %w", m.user, err)
		}
	}
	if err := c.Mail(m.from.Address); err != nil {
		return err
	}
	for _, to := range m.to {
		if err := c.Rcpt(to.Address); err != nil {
			return err
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(m.encode(msg)); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	_ = c.Quit() // the server has accepted the message
	return nil
}

// encode returns the message with its headers. Foreign text in a header is cleaned and encoded, so that it cannot
// add a header.
func (m *mailer) encode(msg message.Message) []byte {
	var b bytes.Buffer
	header := func(name, value string) { fmt.Fprintf(&b, "%s: %s\r\n", name, value) }
	to := make([]string, len(m.to))
	for i, a := range m.to {
		to[i] = a.String()
	}
	header("From", m.from.String())
	header("To", strings.Join(to, ", "))
	header("Subject", mime.QEncoding.Encode("utf-8", msg.Title(message.Plain)))
	header("Date", msg.At.Format(time.RFC1123Z))
	header("Message-ID", "<"+message.Plain(strings.NewReplacer("<", "", ">", "", " ", "-", "@", "-").Replace(msg.ID), 150)+"@stint>")
	header("Auto-Submitted", "auto-generated")
	header("MIME-Version", "1.0")
	header("Content-Type", "text/plain; charset=utf-8")
	header("Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\r\n")
	w := quotedprintable.NewWriter(&b)
	_, _ = w.Write([]byte(strings.ReplaceAll(msg.Text(message.Plain), "\n", "\r\n") + "\r\n")) // a bytes.Buffer returns no error
	_ = w.Close()
	return b.Bytes()
}

// mailFailed returns the error for the reply of a mail server: 4yz is temporary, 5yz is permanent.
func mailFailed(err error) error {
	var reply *textproto.Error
	if !errors.As(err, &reply) {
		return failed(err)
	}
	return &SendError{Why: fmt.Sprintf("the mail server replied %d %s", reply.Code, message.Plain(reply.Msg, 200)), Refused: reply.Code >= 500}
}
