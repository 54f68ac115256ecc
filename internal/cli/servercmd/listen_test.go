package servercmd

import (
	"net"
	"testing"
)

// An address of IPv4 is listened on over IPv4 only.
func TestListenKeepsToTheFamily(t *testing.T) {
	for address, want := range map[string]string{"0.0.0.0:0": "0.0.0.0", "127.0.0.1:0": "127.0.0.1", "[::1]:0": "::1", ":0": "::"} {
		l, err := listen(address)
		if err != nil {
			t.Fatal(err)
		}
		if got := l.Addr().(*net.TCPAddr).IP.String(); got != want {
			t.Errorf("--listen %s listens on %s, want %s", address, got, want)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}
