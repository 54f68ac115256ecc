package notify

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strings"
	"testing"

	"stint.dev/stint/job/api"
)

// postOffice is a mail server that takes one letter per connection.
type postOffice struct {
	addr    string
	letters chan string
	refuse  string // the answer to RCPT; empty takes it
}

func newPostOffice(t *testing.T, refuse string) *postOffice {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &postOffice{addr: l.Addr().String(), letters: make(chan string, 10), refuse: refuse}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p.serve(conn)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return p
}

func (p *postOffice) serve(conn net.Conn) {
	r := bufio.NewReader(conn)
	say := func(s string) { _, _ = fmt.Fprint(conn, s+"\r\n") }
	say("220 test")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		switch word := strings.ToUpper(strings.Fields(line + " x")[0]); word {
		case "EHLO", "HELO":
			say("250 test")
		case "RCPT":
			say(orOK(p.refuse))
		case "DATA":
			say("354 go on")
			var letter strings.Builder
			for {
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				letter.WriteString(line)
			}
			p.letters <- letter.String()
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func orOK(s string) string {
	if s == "" {
		return "250 ok"
	}
	return s
}

func TestMail(t *testing.T) {
	office := newPostOffice(t, "")
	c := mustOpen(t, api.Route{URL: "smtp://" + office.addr + "/?from=Stint+%3Cstint@example.org%3E&to=ada@example.org,bob@example.org"}, true)
	if err := c.Send(t.Context(), sample()); err != nil {
		t.Fatal(err)
	}
	m, err := mail.ReadMessage(strings.NewReader(<-office.letters))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil || subject != "train  X-Evil: <!channel> @everyone #7 failed" {
		t.Errorf("subject %q, %v", subject, err)
	}
	if m.Header.Get("X-Evil") != "" || m.Header.Get("To") != "<ada@example.org>, <bob@example.org>" || m.Header.Get("Message-ID") != "<stint_5_team@stint>" {
		t.Errorf("header: %v", m.Header)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil || !strings.Contains(string(body), "Exited with code 3.") || !strings.Contains(string(body), "https://stint.example.org/runs/0199") || strings.Contains(string(body), "\x1b") {
		t.Errorf("body %q, %v", body, err)
	}
}

func TestMailThatIsNotTaken(t *testing.T) {
	for reply, refused := range map[string]bool{"550 nobody here": true, "451 later": false} {
		office := newPostOffice(t, reply)
		err := mustOpen(t, api.Route{URL: "smtp://" + office.addr + "/?from=a@example.org&to=b@example.org"}, true).Send(t.Context(), sample())
		var e *SendError
		if !errors.As(err, &e) || e.Refused != refused || !strings.Contains(e.Why, reply) {
			t.Errorf("%s: %+v", reply, err)
		}
	}
	// A password is sent over TLS or not at all.
	office := newPostOffice(t, "")
	_, port, _ := net.SplitHostPort(office.addr)
	m := &mailer{host: "mail.example.org", port: port, user: "ada", password: "s3cret", from: &mail.Address{Address: "a@b.c"}, guard: guard{true}}
	conn, err := net.Dial("tcp", office.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // a test's connection
	if err := m.transfer(conn, sample()); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("logged in without TLS: %v", err)
	}
}
