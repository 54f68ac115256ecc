package fleet

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"
)

// Wire is one connection that speaks HTTP/1.1 at the least cost to the process that measures.
type Wire struct {
	host  string
	Token string // sent along; empty for none
	// Headers are further lines of the head of each request, each with its line end.
	Headers string
	conn    net.Conn
	br      *bufio.Reader
	out     []byte
}

// wireTimeout bounds one request and its answer.
const wireTimeout = 60 * time.Second

// Dial makes a connection to the server at a host and port.
func Dial(host string) (*Wire, error) {
	conn, err := net.DialTimeout("tcp", host, wireTimeout)
	if err != nil {
		return nil, err
	}
	return &Wire{host: host, conn: conn, br: bufio.NewReaderSize(conn, 1<<10)}, nil
}

// Close gives the connection up.
func (w *Wire) Close() {
	if w != nil {
		_ = w.conn.Close() // it is given up
	}
}

// refusal is an answer that is no success.
type refusal struct {
	path   string // with the method
	status int
	after  time.Duration // Retry-After
	body   []byte
}

func (r *refusal) Error() string {
	return fmt.Sprintf("%s: HTTP %d: %s", r.path, r.status, r.body)
}

// busy reports whether the same request may succeed later, as job.Problem.Temporary does.
func (r *refusal) busy() bool { return r.status == http.StatusTooManyRequests || r.status >= 500 }

// Post sends a body and returns the answer's, with a *refusal for any answer but a success. A
// server closes connections that are idle for long: then it sends the request again, on a new one.
func (w *Wire) Post(path, contentType string, body []byte) ([]byte, error) {
	return w.do(http.MethodPost+" "+path, contentType, body)
}

// Put is Post with that method.
func (w *Wire) Put(path, contentType string, body []byte) ([]byte, error) {
	return w.do(http.MethodPut+" "+path, contentType, body)
}

func (w *Wire) do(target, contentType string, body []byte) ([]byte, error) {
	answer, err := w.send(target, contentType, body)
	if !errors.Is(err, errClosed) {
		return answer, err
	}
	again, err := Dial(w.host)
	if err != nil {
		return nil, err
	}
	w.Close()
	w.conn, w.br = again.conn, again.br
	return w.send(target, contentType, body)
}

// errClosed says that a connection ended before any byte of an answer.
var errClosed = errors.New("the server closed the connection before it answered")

// send sends a request, whose method and path are in target, on the connection that there is, and reads
// the answer.
func (w *Wire) send(target, contentType string, body []byte) ([]byte, error) {
	w.out = fmt.Appendf(w.out[:0], "%s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s", target, w.host, contentType, len(body), w.Headers)
	if w.Token != "" {
		w.out = fmt.Appendf(w.out, "Authorization: Bearer %s\r\n", w.Token)
	}
	w.out = append(w.out, "\r\n"...)
	w.out = append(w.out, body...)
	if err := w.conn.SetDeadline(time.Now().Add(wireTimeout)); err != nil {
		return nil, err
	}
	if _, err := w.conn.Write(w.out); err != nil {
		return nil, closedBy(err)
	}
	return w.receive(target)
}

// receive reads the answer to a request.
func (w *Wire) receive(target string) ([]byte, error) {
	status, length, after := 0, -1, 0
	for n := 0; ; n++ {
		line, err := w.br.ReadSlice('\n')
		if err != nil && n == 0 && len(line) == 0 {
			return nil, closedBy(err)
		}
		if err != nil {
			return nil, err
		}
		line = bytes.TrimSpace(line)
		if n == 0 && len(line) >= 12 {
			status, _ = strconv.Atoi(string(line[9:12])) // 0 is no success
		}
		if name, value, ok := bytes.Cut(line, []byte(":")); ok {
			switch { // our own server counts
			case bytes.EqualFold(name, []byte("content-length")):
				length, _ = strconv.Atoi(string(bytes.TrimSpace(value)))
			case bytes.EqualFold(name, []byte("retry-after")):
				after, _ = strconv.Atoi(string(bytes.TrimSpace(value)))
			}
		}
		if len(line) == 0 {
			break
		}
	}
	if length < 0 {
		return nil, fmt.Errorf("%s: HTTP %d, of unknown length: %w", target, status, errIncomplete)
	}
	answer := make([]byte, length)
	if _, err := io.ReadFull(w.br, answer); err != nil {
		return nil, err
	}
	if status < 200 || status > 299 {
		return answer, &refusal{target, status, time.Duration(after) * time.Second, answer}
	}
	return answer, nil
}

// closedBy is errClosed for the error of a connection that the other side has closed.
func closedBy(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return errors.Join(errClosed, err)
	}
	return err
}
