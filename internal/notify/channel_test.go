package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.uber.org/goleak"

	"stint.dev/stint/internal/notify/message"
	"stint.dev/stint/internal/store/postgrestest"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

func TestMain(m *testing.M) {
	code := postgrestest.Main(m)
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func sample() message.Message {
	run := &job.Run{ID: "0199", Job: "train\r\nX-Evil: <!channel> @everyone", Number: 7, Host: "box", State: job.Failed}
	a := api.Action{ID: 5, Cause: 5, Run: "0199", What: "failed", Severity: job.Critical, Message: "Exited with \x1b[31mcode\x1b[0m 3."}
	return message.New("team", 5, []message.Item{message.ItemOf(a, run, "https://stint.example.org")}, false, time.Now())
}

func mustOpen(t *testing.T, r api.Route, private bool) Channel {
	t.Helper()
	c, err := open(r, guard{private})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func receiver(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func TestWebhookIsSigned(t *testing.T) {
	secret := NewSecret()
	verifier, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	var body []byte
	url := receiver(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ = io.ReadAll(r.Body)
		if err := verifier.Verify(body, r.Header); err != nil {
			t.Error(err)
		}
		if got := r.Header.Get("webhook-id"); got != "stint_5_team" {
			t.Errorf("id %q", got)
		}
		if err := verifier.Verify(append(body, ' '), r.Header); err == nil {
			t.Error("the signature does not cover the body")
		}
	})
	if err := mustOpen(t, api.Route{URL: url, Secret: secret}, true).Send(t.Context(), sample()); err != nil {
		t.Fatal(err)
	}
	var got webhookBody
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	if got.Type != "run.failed" || got.Data.Items[0].Run.Number != 7 || got.Data.Severity != "critical" || strings.ContainsAny(got.Data.Title+got.Data.Text, "\x1b\r") {
		t.Errorf("body: %s", body)
	}
}

func TestWebhookAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		h    http.HandlerFunc
		want SendError
		says string
	}{
		"error":     {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no\x1b[2J way", 500) }, SendError{}, "500 Internal Server Error: no way"},
		"bad":       {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(400) }, SendError{Refused: true}, "400"},
		"gone":      {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(410) }, SendError{Never: true}, "410"},
		"forbidden": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }, SendError{}, "403"},
		"busy": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(429)
		}, SendError{After: 7 * time.Second}, "429"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/" {
				t.Error("the redirect was followed")
			}
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		}, SendError{Refused: true}, "redirects are not followed"},
		"cut": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, SendError{}, "did not respond"},
	} {
		err := mustOpen(t, api.Route{URL: receiver(t, c.h)}, true).Send(t.Context(), sample())
		var e *SendError
		if !errors.As(err, &e) || e.Refused != c.want.Refused || e.Never != c.want.Never || e.After != c.want.After || !strings.Contains(e.Why, c.says) || strings.Contains(e.Why, "\x1b") {
			t.Errorf("%s: %+v", name, err)
		}
	}
	endless := func(w http.ResponseWriter, _ *http.Request) {
		piece := make([]byte, 64<<10)
		for {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	}
	if err := mustOpen(t, api.Route{URL: receiver(t, endless)}, true).Send(t.Context(), sample()); err != nil {
		t.Errorf("an endless answer of 200: %v", err)
	}
}

func TestSlowReceiverIsCutOffWithItsContext(t *testing.T) {
	arrived, free := make(chan struct{}), make(chan struct{})
	url := receiver(t, func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		select {
		case <-free:
		case <-r.Context().Done():
		}
	})
	t.Cleanup(func() { close(free) })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	c := mustOpen(t, api.Route{URL: url}, true)
	go func() { done <- c.Send(ctx, sample()) }()
	<-arrived
	cancel()
	if err := <-done; err == nil {
		t.Error("a receiver that never answered took the message")
	}
}

// Names that turn out to be private are refused when the connection is made, whatever
// they were before.
func TestPrivateTargets(t *testing.T) {
	var reached atomic.Int64
	target := receiver(t, func(http.ResponseWriter, *http.Request) { reached.Add(1) })
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	named := &webhook{url: "http://localhost:" + u.Port(), now: time.Now}
	var e *SendError
	if err := named.Send(t.Context(), sample()); !errors.As(err, &e) || !e.Never || !strings.Contains(e.Why, "--allow-private-targets") {
		t.Errorf("a name of this host: %v", err)
	}
	mail := &mailer{host: "localhost", port: u.Port()}
	if err := mail.Send(t.Context(), sample()); !errors.As(err, &e) || !e.Never {
		t.Errorf("mail to this host: %v", err)
	}
	for _, private := range []string{target, "https://10.0.0.1/", "http://[::1]:80/", "https://192.168.1.1", "http://169.254.169.254/latest", "http://localhost:1", "smtp://127.0.0.1/?from=a@b.c&to=a@b.c"} {
		if _, err := open(api.Route{URL: private}, guard{}); err == nil || !strings.Contains(err.Error(), "private") {
			t.Errorf("%s: %v", private, err)
		}
		if _, err := open(api.Route{URL: private}, guard{true}); err != nil {
			t.Errorf("%s, when allowed: %v", private, err)
		}
	}
	for _, bad := range []string{
		"127.0.0.1", "::1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "fe80::1", "fd00::1", "ff02::1", "224.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::127.0.0.1", "255.255.255.255", "198.18.0.1",
		"168.63.129.16", "64:ff9b::a83f:8110", "::ffff:0:127.0.0.1", "::ffff:0:10.0.0.1", "192.88.99.1", "3fff::1", "5f00::1",
	} {
		if checkPublic(netip.MustParseAddr(bad), none) == nil {
			t.Errorf("%s is taken for public", bad)
		}
	}
	for _, good := range []string{"1.1.1.1", "8.8.8.8", "2606:4700::1111", "64:ff9b::808:808", "::ffff:0:8.8.8.8", "168.63.129.17"} {
		if err := checkPublic(netip.MustParseAddr(good), none); err != nil {
			t.Error(err)
		}
	}
	if reached.Load() != 0 {
		t.Error("something arrived")
	}
}

// Interval chat of the library sends through the guarded client and no other: nothing
// reaches a private target, and nothing goes past the client that was given.
func TestChatsAreGuarded(t *testing.T) {
	var reached atomic.Int64
	target := receiver(t, func(http.ResponseWriter, *http.Request) { reached.Add(1) })
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	past := http.DefaultTransport
	t.Cleanup(func() { http.DefaultTransport = past })
	http.DefaultTransport = transport(func(r *http.Request) (*http.Response, error) {
		t.Errorf("a request went past the guard: %s", r.URL.Host)
		return nil, errors.New("no")
	})
	token := strings.Repeat("a", 24)
	for _, raw := range []string{
		"ntfy://" + u.Host + "/topic?scheme=http",
		"gotify://" + u.Host + "/AzyoeNS.D4iJLVa?disabletls=yes",
		"mattermost://" + u.Host + "/token?disabletls=yes",
		"rocketchat://" + u.Host + "/" + token + "/" + token,
		"matrix://:token@" + u.Host + "/?rooms=!r:x&disableTLS=yes",
		"bark://:key@" + u.Host + "/?scheme=http",
		"signal://" + u.Host + "/+15550001111/+15550002222?disabletls=yes",
	} {
		c, err := open(api.Route{URL: raw}, guard{})
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		var e *SendError
		if err := c.Send(t.Context(), sample()); !errors.As(err, &e) || !e.Never || !strings.Contains(e.Why, "private") {
			t.Errorf("%s: %v", raw, err)
		}
	}
	if reached.Load() != 0 {
		t.Error("something arrived")
	}
}

// The services with fixed addresses are asked through a client that answers by itself.
func TestEveryChatUsesTheClientItIsGiven(t *testing.T) {
	past := http.DefaultTransport
	t.Cleanup(func() { http.DefaultTransport = past })
	http.DefaultTransport = transport(func(r *http.Request) (*http.Response, error) {
		t.Errorf("a request went past the guard: %s", r.URL.Host)
		return nil, errors.New("no")
	})
	letters := strings.Repeat("a", 24)
	for raw, host := range map[string]string{
		"discord://token@123456789012345678":                                         "discord.com",
		"slack://hook:T00000000-B00000000-" + letters + "@webhook":                   "hooks.slack.com",
		"telegram://110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaws@telegram?chats=@x": "api.telegram.org",
		"pushover://shoutrrr:token@user/":                                            "api.pushover.net",
		"pushbullet://o.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa":                            "api.pushbullet.com",
		"googlechat://chat.googleapis.com/v1/spaces/x/messages?key=k&token=t":        "chat.googleapis.com",
		"opsgenie://api.opsgenie.com/key":                                            "api.opsgenie.com",
		"zulip://bot%40example.org:key@example.org/?stream=s&topic=t":                "example.org",
		"lark://open.feishu.cn/token":                                                "open.feishu.cn",
		"wecom://key":                                                                "qyapi.weixin.qq.com",
	} {
		c, err := open(api.Route{URL: raw}, guard{})
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		var asked []string
		var bodies strings.Builder
		s, err := c.(*chat).begin(&http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			asked = append(asked, r.URL.Hostname())
			if r.Body != nil {
				if _, err := io.Copy(&bodies, r.Body); err != nil {
					t.Error(err)
				}
			}
			return nil, errors.New("no network here")
		})})
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		m := sample()
		m.Items[0].Evidence = &job.Evidence{Text: "no-leader-in-zone-7"}
		text, title := c.(*chat).textOf(m)
		err = deliver(s, text, title) // telegram says nil all the same: Send looks at the answer itself
		if len(asked) == 0 || asked[0] != host || !strings.Contains(bodies.String(), "no-leader-in-zone-7") {
			t.Errorf("%s asked %v: %v\n%s", raw, asked, err, bodies.String())
		}
	}
}

type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

func TestChatSendsTextThatMeansNothing(t *testing.T) {
	var body string
	status := http.StatusOK
	calls := 0
	target := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		body = string(raw) + fmt.Sprint(r.Header)
		calls++
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"id":"x","time":1,"event":"message","topic":"t"}`)
	})
	c := mustOpen(t, api.Route{URL: "ntfy://" + strings.TrimPrefix(target, "http://") + "/topic?scheme=http"}, true)
	if err := c.Send(t.Context(), sample()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(body, "#7 failed") || !strings.Contains(body, "https://stint.example.org/runs/0199") ||
		strings.Contains(body, "@everyone") || strings.Contains(body, "<!channel>") || strings.Contains(body, "\x1b") {
		t.Errorf("sent: %s", body)
	}
	status, calls = http.StatusTooManyRequests, 0
	var e *SendError
	if err := c.Send(t.Context(), sample()); !errors.As(err, &e) || e.Refused || calls != 1 {
		t.Errorf("too many requests: %v after %d calls", err, calls)
	}
}

func TestCheckRefusesWithPlaceAndReason(t *testing.T) {
	good := api.Route{Name: "team", URL: "https://example.org/hook"}
	if err := Check(good, Options{}); err != nil {
		t.Fatal(err)
	}
	for place, change := range map[string]func(*api.Route){
		"name:":                 func(r *api.Route) { r.Name = "a b" },
		"url: it has no":        func(r *api.Route) { r.URL = "example.org" },
		"url: the scheme":       func(r *api.Route) { r.URL = "gopher://example.org" },
		"url: it has no host":   func(r *api.Route) { r.URL = "https:///x" },
		"url: teams: host":      func(r *api.Route) { r.URL = "teams://" },
		"url: it is not":        func(r *api.Route) { r.URL = "https://a b\x7f/" },
		"url: it has asterisks": func(r *api.Route) { r.URL = "smtp://u:*****@h/?from=a@b.c&to=a@b.c" },
		"url: from":             func(r *api.Route) { r.URL = "smtp://example.org/?to=a@b.c" },
		"url: to":               func(r *api.Route) { r.URL = "smtp://example.org/?from=a@b.c&to=nobody" },
		"url: smtp has":         func(r *api.Route) { r.URL = "smtp://example.org/?from=a@b.c&to=a@b.c&cc=x" },
		"url: matrix":           func(r *api.Route) { r.URL = "matrix://user:pw@example.org/" },
		"url: ":                 func(r *api.Route) { r.URL = "slack://nonsense" },
		"url: it is longer":     func(r *api.Route) { r.URL = "https://" + strings.Repeat("a", 5000) },
		"secret:":               func(r *api.Route) { r.Secret = "whsec_!!!" },
		"match.job":             func(r *api.Route) { r.Match.Job = "[a" },
		"match.severity":        func(r *api.Route) { r.Match.Severity = "bad" },
		"match.labels":          func(r *api.Route) { r.Match.Labels = map[string]string{"a=b": ""} },
		"match.events[1]":       func(r *api.Route) { r.Match.Events = []string{"failed", "exploded"} },
		"quiet.cron":            func(r *api.Route) { r.Quiet = &api.QuietHours{Cron: "x", Duration: "1h"} },
		"group_seconds":         func(r *api.Route) { r.GroupSeconds = -1 },
		"repeat_seconds":        func(r *api.Route) { r.RepeatSeconds = 5 },
	} {
		r := good
		change(&r)
		if err := Check(r, Options{}); err == nil || !strings.HasPrefix(err.Error(), place) || len(err.Error()) > 600 {
			t.Errorf("%s: %v", place, err)
		}
	}
}

func TestShownHasNoSecrets(t *testing.T) {
	for raw, want := range map[string]string{
		"https://example.org":                            "https://example.org",
		"https://example.org/hook/s3cret?key=s3cret":     "https://example.org/*****",
		"https://u:s3cret@example.org":                   "https://example.org/*****",
		"smtp://ada:s3cret@mail.org:25/?from=a@b&to=c@d": "smtp://ada:*****@mail.org:25/?from=a@b&to=c@d",
		"slack://hook:s3cret@webhook":                    "slack://*****",
		"ntfy://s3cret@ntfy.sh/s3cret":                   "ntfy://*****",
		"s3cret\x7f":                                     "*****",
	} {
		if got := Redacted(api.Route{URL: raw, Secret: "s3cret"}); got.URL != want || got.Secret != "" {
			t.Errorf("%q is shown as %q", raw, got.URL)
		}
	}
}
