package access

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestClientBehindProxies(t *testing.T) {
	networks := []string{"127.0.0.1", "10.0.0.0/8", "2001:db8:1::/48"}
	proxies, err := ParseProxies(networks)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, from string
		forwarded  []string
		want       string
	}{
		{"no header", "127.0.0.1:7", nil, "127.0.0.1"},
		{"one proxy", "127.0.0.1:7", []string{"192.0.2.1"}, "192.0.2.1"},
		{"the client invents some", "127.0.0.1:7", []string{"203.0.113.9, 192.0.2.1"}, "192.0.2.1"},
		{"the client invents a proxy", "127.0.0.1:7", []string{"10.0.0.1,192.0.2.1"}, "192.0.2.1"},
		{"the client invents a header of its own", "127.0.0.1:7", []string{"203.0.113.9", "192.0.2.1"}, "192.0.2.1"},
		{"a chain of proxies", "127.0.0.1:7", []string{"203.0.113.9, 192.0.2.1, 10.1.2.3"}, "192.0.2.1"},
		{"a chain of headers", "127.0.0.1:7", []string{"203.0.113.9", "192.0.2.1", "10.1.2.3,10.9.9.9"}, "192.0.2.1"},
		{"nobody but proxies", "127.0.0.1:7", []string{"10.0.0.2, 10.0.0.1"}, "10.0.0.2"},
		{"who is no proxy is not believed", "192.0.2.7:7", []string{"203.0.113.9"}, "192.0.2.7"},
		{"another address of loopback is not", "127.0.0.2:7", []string{"203.0.113.9"}, "127.0.0.2"},
		{"a port", "127.0.0.1:7", []string{"192.0.2.1:8080"}, "192.0.2.1"},
		{"IPv6", "[2001:db8:1::5]:7", []string{"2001:db8:2::1"}, "2001:db8:2::1"},
		{"IPv6 in brackets", "127.0.0.1:7", []string{"[2001:db8:2::1]"}, "2001:db8:2::1"},
		{"IPv6 with a port", "127.0.0.1:7", []string{"[2001:db8:2::1]:443"}, "2001:db8:2::1"},
		{"IPv6 with a zone", "127.0.0.1:7", []string{"fe80::1%eth0"}, "fe80::1"},
		{"IPv4 in IPv6", "[::ffff:127.0.0.1]:7", []string{"::ffff:192.0.2.1, ::ffff:10.0.0.1"}, "192.0.2.1"},
		{"another network of IPv6", "[2001:db8:2::5]:7", []string{"203.0.113.9"}, "2001:db8:2::5"},
		{"spaces", "127.0.0.1:7", []string{" \t192.0.2.1 ,\t10.0.0.1 "}, "192.0.2.1"},
		{"empty", "127.0.0.1:7", []string{""}, "127.0.0.1"},
		{"an empty one first", "127.0.0.1:7", []string{"", "192.0.2.1"}, "192.0.2.1"},
		{"commas", "127.0.0.1:7", []string{"192.0.2.1,,,"}, "127.0.0.1"},
		{"a name", "127.0.0.1:7", []string{"192.0.2.1, unknown"}, "127.0.0.1"},
		{"a name behind a proxy", "127.0.0.1:7", []string{"192.0.2.1, unix:, 10.0.0.4"}, "10.0.0.4"},
		{"garbage left of the client", "127.0.0.1:7", []string{"\x00'\"<>, 192.0.2.1"}, "192.0.2.1"},
		{"half a bracket", "127.0.0.1:7", []string{"[::1"}, "127.0.0.1"},
		{"only brackets", "127.0.0.1:7", []string{"[]"}, "127.0.0.1"},
		{"many", "127.0.0.1:7", []string{"192.0.2.1," + strings.Repeat("10.0.0.1,", 50_000) + "10.0.0.1"}, "192.0.2.1"},
		{"the proxy has no address", "@", []string{"192.0.2.1"}, "@"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = tt.from
		for _, v := range tt.forwarded {
			r.Header.Add("X-Forwarded-For", v)
		}
		if got := ClientText(proxies.Identify(r)); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
		alone, _, _ := strings.Cut(tt.from, ":")
		if got := ClientText(Proxies(nil).Identify(r)); tt.from[0] != '[' && got != alone {
			t.Errorf("%s, without trusted proxies: %s, want %s", tt.name, got, alone)
		}
	}
}

func TestParseProxy(t *testing.T) {
	for text, want := range map[string]string{
		"127.0.0.1":           "127.0.0.1/32",
		"10.0.0.0/8":          "10.0.0.0/8",
		"::1":                 "::1/128",
		"2001:db8::/32":       "2001:db8::/32",
		"::ffff:10.0.0.1":     "10.0.0.1/32",
		"::ffff:10.0.0.0/104": "10.0.0.0/8",
	} {
		if got, err := ParseProxy(text); err != nil || got.String() != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"":                 "is not an address",
		"localhost":        "is not an address",
		"10.0.0.1:80":      "is not an address",
		"10.0.0/8":         "is not an address",
		"10.0.0.0/33":      "is not an address",
		"10.0.0.0/8,::1":   "is not an address",
		"fe80::1%eth0":     "has a zone",
		"10.1.2.3/8":       "write 10.0.0.0/8",
		"2001:db8::1/32":   "write 2001:db8::/32",
		"0.0.0.0/0":        "has all addresses",
		"::/0":             "has all addresses",
		"::ffff:0:0/96":    "has all addresses",
		"::ffff:0.0.0.0/8": "larger than",
	} {
		if got, err := ParseProxy(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %s, %v, want %s", text, got, err, want)
		}
	}
}
