package notify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// ownAddresses are those that the host of TestOwnAddressesOfAHost gets.
var ownAddresses = []string{"8.8.4.4/24", "2606:4700:4700::64/64"}

// The host's real addresses are refused, and one that it gets later is refused at once. In a
// network namespace of its own: this test runs itself there.
func TestOwnAddressesOfAHost(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make a network namespace")
	}
	const inside = "STINT_TEST_OWN_ADDRESSES"
	if os.Getenv(inside) == "" {
		cmd := exec.CommandContext(t.Context(), "unshare", "--net", os.Args[0], "-test.run=^TestOwnAddressesOfAHost$", "-test.v")
		cmd.Env = append(os.Environ(), inside+"=1")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: TestOwnAddressesOfAHost") {
			t.Fatalf("in a namespace: %v\n%s", err, out)
		}
		return
	}
	ip := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %v: %v: %s", args, err, out)
		}
	}
	ip("link", "set", "lo", "up")
	for _, address := range ownAddresses {
		host := strings.Split(address, "/")[0]
		if err := dialGuarded(t, host); errors.Is(err, errOwnAddress) {
			t.Errorf("%s, before it is an address of this host: %v", host, err)
		}
		ip("addr", "add", address, "dev", "lo", "nodad")
		l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			t.Fatal(err)
		}
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		forms := []string{host}
		if !strings.Contains(host, ":") {
			forms = append(forms, "::ffff:"+host, "::ffff:0:"+host, "64:ff9b::"+host)
		}
		for _, form := range forms {
			if err := dialGuarded(t, form, port); !errors.Is(err, errOwnAddress) {
				t.Errorf("%s: %v, want %v", form, err, errOwnAddress)
			}
		}
		conn, err := dialPrivate(l.Addr().String())
		if err != nil {
			t.Errorf("with --allow-private-targets: %v", err)
		} else if err := conn.Close(); err != nil {
			t.Error(err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	// One on a link that is down is this host's as well.
	ip("link", "add", "out", "type", "veth", "peer", "name", "other")
	ip("addr", "add", "8.8.8.8/24", "dev", "out")
	if err := dialGuarded(t, "8.8.8.8"); !errors.Is(err, errOwnAddress) {
		t.Errorf("on a link that is down: %v", err)
	}
}

// dialPrivate connects as with --allow-private-targets. The kernel takes a moment until a
// new address can be reached.
func dialPrivate(address string) (net.Conn, error) {
	private := guard{private: true}.dialer()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	conn, err := private.Dial("tcp", address)
	for tries := 0; err != nil && tries < 1000; tries++ {
		<-tick.C
		conn, err = private.Dial("tcp", address)
	}
	return conn, err
}

// dialGuarded connects as a message to a receiver does.
func dialGuarded(t *testing.T, host string, port ...string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	address := net.JoinHostPort(host, strings.Join(append(port, "9")[:1], ""))
	conn, err := guard{}.dialer().DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return errors.Join(fmt.Errorf("%s: a connection was made", address), conn.Close())
}
