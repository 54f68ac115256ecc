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
)

// mailer sends e-mail over SMTP: smtp://user:password@host:587/?from=a@b&to=c@d,e@f.
// smtp speaks STARTTLS where the server offers it, and insists on it before a password is
// sent; smtps is TLS from the first byte, usually port 465.
type mailer struct {
	host, port     string
	direct         bool // TLS from the first byte
	user, password string
	from           *mail.Address
	to             []*mail.Address
	guard          guard
	roots          *tls.Config // nil: those of the system
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
			return nil, fmt.Errorf("url: smtp knows from and to, not %q", plain(key, 50))
		}
	}
	var err error
	if m.from, err = mail.ParseAddress(q.Get("from")); err != nil {
		return nil, errors.New("url: from is not an e-mail address; write smtp://host/?from=stint@example.org&to=you@example.org")
	}
	if m.to, err = mail.ParseAddressList(q.Get("to")); err != nil {
		return nil, errors.New("url: to is not a list of e-mail addresses with commas between them")
	}
	return m, nil
}

func (m *mailer) Send(ctx context.Context, msg Message) error {
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	conn, err := m.guard.dialer().DialContext(ctx, "tcp", net.JoinHostPort(m.host, m.port))
	if err != nil {
		return failed(err)
	}
	defer conn.Close() //nolint:errcheck // closed twice after an orderly end
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return failed(err)
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if err := m.speak(conn, msg); err != nil {
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

func (m *mailer) speak(conn net.Conn, msg Message) error {
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
	if _, err := w.Write(m.letter(msg)); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	_ = c.Quit() // the message is taken: what follows changes nothing
	return nil
}

// letter is the message with its headers. Nothing in a header comes from a job without
// passing plain and the encoding, so that no line can be added to them.
func (m *mailer) letter(msg Message) []byte {
	var b bytes.Buffer
	header := func(name, value string) { fmt.Fprintf(&b, "%s: %s\r\n", name, value) }
	to := make([]string, len(m.to))
	for i, a := range m.to {
		to[i] = a.String()
	}
	header("From", m.from.String())
	header("To", strings.Join(to, ", "))
	header("Subject", mime.QEncoding.Encode("utf-8", msg.Title(plain)))
	header("Date", msg.At.Format(time.RFC1123Z))
	header("Message-ID", "<"+plain(strings.NewReplacer("<", "", ">", "", " ", "-", "@", "-").Replace(msg.ID), 150)+"@stint>")
	header("Auto-Submitted", "auto-generated")
	header("MIME-Version", "1.0")
	header("Content-Type", "text/plain; charset=utf-8")
	header("Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\r\n")
	w := quotedprintable.NewWriter(&b)
	_, _ = w.Write([]byte(strings.ReplaceAll(msg.Text(plain), "\n", "\r\n") + "\r\n")) // a buffer takes everything
	_ = w.Close()
	return b.Bytes()
}

// mailFailed classifies the reply of a mail server: 4yz is for now, 5yz is for good.
func mailFailed(err error) error {
	var reply *textproto.Error
	if !errors.As(err, &reply) {
		return failed(err)
	}
	return &SendError{Why: fmt.Sprintf("the mail server replied %d %s", reply.Code, plain(reply.Msg, 200)), Refused: reply.Code >= 500}
}
