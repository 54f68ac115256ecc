package store_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"stint.dev/stint/internal/store"
)

// What PostgreSQL answered comes first, in one line: not that it speaks no TLS, which is
// tried first and need not be.
func TestErrorsOfConnectingBeginWithTheCause(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			refuse(conn)
		}
	}()
	_, err = store.Open(t.Context(), store.Options{URL: fmt.Sprintf("postgres://stint:wrong@%s/runs", l.Addr())})
	if cerr := l.Close(); cerr != nil {
		t.Fatal(cerr)
	}
	<-done
	if err == nil {
		t.Fatal("a server that refuses everybody was opened")
	}
	text := err.Error()
	cause, tls := strings.Index(text, "no such password"), strings.Index(text, "TLS")
	if cause < 0 || tls >= 0 && tls < cause || strings.ContainsAny(text, "\n\t") {
		t.Errorf("%q", text)
	}
	var answer *pgconn.PgError
	if !errors.As(err, &answer) || answer.Code != "28P01" {
		t.Errorf("the error of PostgreSQL is lost: %#v", err)
	}
}

// refuse speaks as a PostgreSQL without TLS that knows no such password.
func refuse(conn net.Conn) {
	defer conn.Close()
	for {
		head := make([]byte, 8)
		if _, err := io.ReadFull(conn, head); err != nil {
			return
		}
		if binary.BigEndian.Uint32(head[4:]) == 80877103 { // SSLRequest
			if _, err := conn.Write([]byte("N")); err != nil {
				return
			}
			continue
		}
		if _, err := io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(head)-8)); err != nil {
			return
		}
		fields := "SFATAL\x00VFATAL\x00C28P01\x00Mno such password\x00\x00"
		answer := append([]byte("E"), binary.BigEndian.AppendUint32(nil, uint32(len(fields)+4))...)
		_, _ = conn.Write(append(answer, fields...)) // the client has gone or reads it
		return
	}
}
