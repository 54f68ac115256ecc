package access

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
)

var (
	onLoopback = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7846}
	onNetwork  = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 7846}
	onAll      = &net.TCPAddr{IP: net.IPv6unspecified, Port: 7846}
)

func TestWhoNeedsNoToken(t *testing.T) {
	const own = 1000
	unknown := Peer{Err: errors.New("no answer")}
	header := func(name string) http.Header { return http.Header{http.CanonicalHeaderKey(name): {"x"}} }
	for _, tt := range []struct {
		name     string
		settings Settings
		listener net.Addr
		peer     Peer
		host     string // 127.0.0.1 when empty
		header   http.Header
		workers  bool
		want     Doubt
	}{
		{name: "own user", peer: Peer{UID: own}},
		{name: "root", peer: Peer{UID: 0}},
		{name: "own user on ::1", listener: &net.TCPAddr{IP: net.IPv6loopback}, peer: Peer{UID: own}, host: "[::1]:7846"},
		{name: "another user", peer: Peer{UID: 1001}, want: OtherUser},
		{name: "no answer of the system", peer: unknown, want: UnknownUser},
		{name: "no answer, trusted", settings: Settings{TrustLocal: true}, peer: unknown},
		{name: "another user is not trusted either", settings: Settings{TrustLocal: true}, peer: Peer{UID: 1001}, want: OtherUser},
		{name: "network", listener: onNetwork, want: Always},
		{name: "all addresses", listener: onAll, want: Always},
		{name: "network, trusted locally", settings: Settings{TrustLocal: true}, listener: onNetwork, peer: unknown, want: Always},
		{name: "require token", settings: Settings{RequireToken: true}, want: Always},
		{name: "workers", workers: true, peer: Peer{UID: own}, want: HasWorkers},
		{name: "workers, and everybody is let in", workers: true, settings: Settings{Insecure: true}},
		{name: "OIDC", settings: Settings{OIDC: true}, want: Always},
		{name: "public URL", settings: Settings{PublicURL: "https://stint.example.org"}, want: Always},
		{name: "public URL without a name", settings: Settings{PublicURL: "https://"}, want: Always},
		{name: "public URL of this machine", settings: Settings{PublicURL: "http://localhost:7846/stint"}, peer: Peer{UID: own}},
		{name: "insecure", settings: Settings{Insecure: true}, listener: onNetwork, peer: unknown, host: "evil.example", header: header("Via")},
		{name: "Forwarded", header: header("Forwarded"), want: Forwarded},
		{name: "Via", header: header("Via"), want: Forwarded},
		{name: "X-Real-IP", header: header("X-Real-IP"), want: Forwarded},
		{name: "X-Forwarded-For", header: header("X-Forwarded-For"), want: Forwarded},
		{name: "X-Forwarded-Proto, from root", header: header("x-forwarded-proto"), want: Forwarded},
		{name: "X-Forwarded-For without a value", header: http.Header{"X-Forwarded-For": {""}}, want: Forwarded},
		{name: "X-Forwarded-For twice", header: http.Header{"X-Forwarded-For": {"127.0.0.1", "127.0.0.1"}}, want: Forwarded},
		{name: "x_forwarded_for", header: header("x_forwarded_for"), want: Forwarded},
		{name: "X-Forwarded_Host", header: header("X-Forwarded_Host"), want: Forwarded},
		{name: "x_real_ip", header: header("x_real_ip"), want: Forwarded},
		{name: "X-Forwarded", header: header("X-Forwarded"), want: Forwarded},
		{name: "FORWARDED, as no reader would spell it", header: http.Header{"FORWARDED": {"x"}}, want: Forwarded},
		{name: "another header", header: header("X-Forward"), peer: Peer{UID: own}},
		{name: "another name", peer: Peer{UID: own}, host: "stint.example.org", want: ForeignHost},
		{name: "an allowed name is no reason for trust", settings: Settings{Hosts: []string{"stint.example.org"}}, host: "stint.example.org", want: ForeignHost},
		{name: "another user under another name", peer: Peer{UID: 1001}, host: "stint.example.org", want: OtherUser},
	} {
		if tt.listener == nil {
			tt.listener = onLoopback
		}
		if tt.host == "" {
			tt.host = "127.0.0.1:7846"
		}
		rule := tt.settings.Rule(tt.listener)
		rule.Workers = tt.workers
		got := rule.Judge(func() Peer { return tt.peer }, own, tt.host, tt.header)
		if got != tt.want {
			t.Errorf("%s: doubt %d, want %d", tt.name, got, tt.want)
		}
	}
	if (Rule{}).Judge(func() Peer { return Peer{} }, 0, "127.0.0.1", nil) != Always {
		t.Error("the zero rule trusts somebody")
	}
}

func TestSettingsThatContradict(t *testing.T) {
	for _, s := range []Settings{
		{Insecure: true, RequireToken: true},
		{Insecure: true, OIDC: true},
		{TrustLocal: true, RequireToken: true},
		{TrustLocal: true, OIDC: true},
		{TrustLocal: true, PublicURL: "https://stint.example.org"},
	} {
		if err := s.Check(); err == nil || !strings.Contains(err.Error(), "--") {
			t.Errorf("%+v: %v", s, err)
		}
	}
	for _, s := range []Settings{
		{},
		{Insecure: true},
		{Insecure: true, PublicURL: "https://stint.example.org"},
		{RequireToken: true, OIDC: true},
		{TrustLocal: true, PublicURL: "http://localhost:1"},
		{TrustLocal: true, Insecure: true},
	} {
		if err := s.Check(); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

func TestNamesOfThisMachine(t *testing.T) {
	r := Rule{Hosts: []string{"jobs.lan", "jobs.lan:81"}}
	for _, host := range []string{"127.0.0.1:7846", "127.0.0.1", "localhost", "LOCALHOST:1", "x.localhost:1", "[::1]:7846", "[::1]", "127.8.8.8"} {
		if !LocalHost(host) || !r.AnswersTo(host) {
			t.Errorf("%s is a name of this machine", host)
		}
	}
	for _, host := range []string{"jobs.lan", "JOBS.lan:7846"} {
		if LocalHost(host) || !r.AnswersTo(host) {
			t.Errorf("%s is an allowed name, and none of this machine's own", host)
		}
	}
	for _, host := range []string{
		"", "evil.example", "localhost.evil.example", "10.0.0.1:7846", "127.0.0.1.evil.example", "::1",
		"127.0.0.1:evil.com", "127.0.0.1:", "127.0.0.1:7846:1", "127.0.0.1:-1", "127.0.0.1:+1", "127.0.0.1:123456", "]127.0.0.1[", "[127.0.0.1]",
		"[[::1]]", "[::1]]", "[::1]x", "[::1]:", "[::1]:x", "[::1", "jobs.lan:evil.com", "[jobs.lan]",
	} {
		if LocalHost(host) || r.AnswersTo(host) {
			t.Errorf("%q counts as a name of this machine", host)
		}
	}
}

func TestRefusalNamesUsersAndCommand(t *testing.T) {
	for _, tt := range []struct {
		doubt Doubt
		peer  Peer
		scope Scope
		want  string
	}{
		{OtherUser, Peer{UID: 0}, Agent, "the connection belongs to user root, the server runs as uid 123456: set STINT_TOKEN (an admin makes one with: stint token create --scope agent --name root)"},
		{OtherUser, Peer{UID: 654321}, Read, "the connection belongs to uid 654321, the server runs as uid 123456: set STINT_TOKEN (an admin makes one with: stint token create --scope read --name uid-654321)"},
		{Forwarded, Peer{}, Write, "the request came through a proxy, and this server asks for a token then: set STINT_TOKEN (an admin makes one with: stint token create --scope write --name NAME)"},
	} {
		if got := Refusal(tt.doubt, tt.peer, 123456, tt.scope); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
	for _, d := range []Doubt{Always, HasWorkers, UnknownUser, ForeignHost} {
		if got := Refusal(d, Peer{}, 0, Admin); !strings.Contains(got, "stint token create --scope admin") {
			t.Errorf("doubt %d: %s", d, got)
		}
	}
}
