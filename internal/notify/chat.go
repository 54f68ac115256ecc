package notify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/discord"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/googlechat"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/lark"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/matrix"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/mattermost"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/rocketchat"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/signal"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/slack"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/teams"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/telegram"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/wecom"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/zulip"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/incident/opsgenie"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/incident/pagerduty"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/bark"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/gotify"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/ntfy"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/pushbullet"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/pushover"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/sms/twilio"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"

	"stint.dev/stint/internal/notify/message"
)

// service is a service of the shoutrrr library that uses an HTTP client which is set, so that targets are checked.
// Services that open connections themselves (mqtt, smtp) are not supported.
type service interface {
	types.Service
	types.HTTPClientSetter
}

var services = map[string]func() service{
	"bark":       func() service { return &bark.Service{} },
	"discord":    func() service { return &discord.Service{} },
	"googlechat": func() service { return &googlechat.Service{} },
	"gotify":     func() service { return &gotify.Service{} },
	"lark":       func() service { return &lark.Service{} },
	"matrix":     func() service { return &matrix.Service{} },
	"mattermost": func() service { return &mattermost.Service{} },
	"ntfy":       func() service { return &ntfy.Service{} },
	"opsgenie":   func() service { return &opsgenie.Service{} },
	"pagerduty":  func() service { return &pagerduty.Service{} },
	"pushbullet": func() service { return &pushbullet.Service{} },
	"pushover":   func() service { return &pushover.Service{} },
	"rocketchat": func() service { return &rocketchat.Service{} },
	"signal":     func() service { return &signal.Service{} },
	"slack":      func() service { return &slack.Service{} },
	"teams":      func() service { return &teams.Service{} },
	"telegram":   func() service { return &telegram.Service{} },
	"twilio":     func() service { return &twilio.Service{} },
	"wecom":      func() service { return &wecom.Service{} },
	"zulip":      func() service { return &zulip.Service{} },
}

// untitled are the services whose messages have no title.
var untitled = []string{"googlechat", "pagerduty", "rocketchat", "signal", "wecom"}

// Schemes returns the schemes that the URL of a route may have.
func Schemes() []string {
	return append([]string{"https", "http", "smtp", "smtps"}, slices.Sorted(maps.Keys(services))...)
}

// chat sends through a service of the shoutrrr library.
type chat struct {
	make  func() service
	url   *url.URL
	guard guard
}

func newChat(scheme, raw string, g guard) (*chat, error) {
	make, known := services[scheme]
	if !known {
		return nil, fmt.Errorf("url: the scheme %s is not known; the schemes are %s", message.Plain(scheme, 30), strings.Join(Schemes(), ", "))
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("url: it is not a valid URL")
	}
	if scheme == "matrix" && u.User.Username() != "" {
		return nil, errors.New("url: matrix needs an access token and no user name: matrix://:TOKEN@host/?rooms=…")
	}
	if scheme == "telegram" {
		// Messages are plain text. With a parse mode, a "_" in the name of a job is markup without an end, and
		// Telegram refuses the message.
		q := u.Query()
		maps.DeleteFunc(q, func(key string, _ []string) bool { return strings.EqualFold(key, "parsemode") })
		u.RawQuery = q.Encode()
	}
	c := &chat{make: make, url: u, guard: g}
	if _, err := c.begin(&http.Client{Transport: &noNetwork{}}); err != nil {
		return nil, fmt.Errorf("url: %s", cause(err))
	}
	return c, nil
}

// errNoNetwork is the error for a service that uses the network while its URL is checked.
var errNoNetwork = errors.New("a route is checked without the network")

// noNetwork fails every request, and counts them.
type noNetwork struct{ requests atomic.Int64 }

func (n *noNetwork) RoundTrip(*http.Request) (*http.Response, error) {
	n.requests.Add(1)
	return nil, errNoNetwork
}

// check returns an error for a URL with which the service would send no request, for what it lacks: some services
// find that out only when they send.
func (c *chat) check() error {
	var n noNetwork
	s, err := c.begin(&http.Client{Transport: &n})
	if err != nil {
		return fmt.Errorf("url: %s", cause(err))
	}
	if err := deliver(s, "check", ""); err != nil && n.requests.Load() == 0 {
		return fmt.Errorf("url: %s: %s", strings.ToLower(c.url.Scheme), cause(err))
	}
	return nil
}

// begin returns the service for the URL, which uses only the given client.
func (c *chat) begin(client *http.Client) (s service, err error) {
	defer func() { // the library may panic because of an unexpected URL
		if p := recover(); p != nil {
			err = errors.New("it is not a valid URL of this service")
		}
	}()
	s = c.make()
	s.SetHTTPClient(client)
	u := *c.url
	if err := s.Initialize(&u, silent{}); err != nil {
		return nil, err
	}
	s.SetHTTPClient(client)
	if d, ok := s.(*discord.Service); ok {
		d.Sleeper = noSleep{}
	}
	return s, nil
}

func (c *chat) Send(ctx context.Context, m message.Message) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	client, last := c.guard.client(ctx)
	s, err := c.begin(client)
	if err != nil {
		return &SendError{Why: cause(err), Never: true}
	}
	text, title := c.textOf(m)
	err = deliver(s, text, title)
	switch {
	case last.failed != nil:
		return failed(last.failed)
	case err != nil:
		return &SendError{Why: cause(err), Refused: last.status > 0}
	case last.status == 0:
		return &SendError{Why: "the service sent no request", Refused: true}
	}
	return nil
}

// textOf returns the text of a message for the service, and its title if the service has titles.
func (c *chat) textOf(m message.Message) (text, title string) {
	text, title = truncated(m.Text(message.Inert)), m.Title(message.Inert)
	if slices.Contains(untitled, strings.ToLower(c.url.Scheme)) {
		return title + "\n" + text, ""
	}
	return text, title
}

// deliver sends a message through a service. A panic of the library is returned as an error.
func deliver(s service, text, title string) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the service's library failed: %v", p)
		}
	}()
	params := types.Params{}
	if title != "" {
		params.SetTitle(title)
	}
	return s.Send(text, &params)
}

// truncated returns text that every service accepts in one message.
func truncated(s string) string {
	const limit = 1900
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "\n…"
}

// silent discards the log of the library, which has URLs.
type silent struct{}

func (silent) Print(...any)          {}
func (silent) Printf(string, ...any) {}
func (silent) Println(...any)        {}

// noSleep does not wait before the retries of the library, which fail.
type noSleep struct{}

func (noSleep) Sleep(time.Duration) {}
