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
)

// service is what we need of a service of the library. All of them take our HTTP client,
// so that targets are guarded; those that would open connections of their own (mqtt,
// their smtp) are not offered.
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

// untitled are services whose messages have no title beside their text.
var untitled = []string{"googlechat", "pagerduty", "rocketchat", "signal", "wecom"}

// Schemes names what a route's URL may begin with.
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
		return nil, fmt.Errorf("url: the scheme %s is not known; it is one of %s", plain(scheme, 30), strings.Join(Schemes(), ", "))
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("url: it cannot be read as a URL")
	}
	if scheme == "matrix" && u.User.Username() != "" {
		return nil, errors.New("url: matrix takes an access token, as in matrix://:TOKEN@host/?rooms=…, and no user name")
	}
	if scheme == "telegram" {
		// Messages are plain text. With a mode, a "_" in a job's name is mark-up that never
		// ends, and Telegram refuses the message.
		q := u.Query()
		maps.DeleteFunc(q, func(key string, _ []string) bool { return strings.EqualFold(key, "parsemode") })
		u.RawQuery = q.Encode()
	}
	c := &chat{make: make, url: u, guard: g}
	if _, err := c.begin(&http.Client{Transport: noNetwork{}}); err != nil {
		return nil, fmt.Errorf("url: %s", cause(err))
	}
	return c, nil
}

// errNoNetwork would mean that a service wants the network for reading its own URL.
var errNoNetwork = errors.New("a route is checked without the network")

type noNetwork struct{}

func (noNetwork) RoundTrip(*http.Request) (*http.Response, error) { return nil, errNoNetwork }

// begin makes a service that knows its URL and uses only the given client.
func (c *chat) begin(client *http.Client) (s service, err error) {
	defer func() { // a library that others write may panic at a strange URL
		if p := recover(); p != nil {
			err = errors.New("the service cannot make sense of it")
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
		d.Sleeper = awake{}
	}
	return s, nil
}

func (c *chat) Send(ctx context.Context, m Message) error {
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	client, last := c.guard.client(ctx)
	s, err := c.begin(client)
	if err != nil {
		return &SendError{Why: cause(err), Never: true}
	}
	text, title := c.written(m)
	err = deliver(s, text, title)
	switch {
	case last.failed != nil:
		return failed(last.failed)
	case err != nil:
		return &SendError{Why: cause(err), Refused: last.status > 0}
	case last.status == 0:
		return &SendError{Why: "the service sent nothing", Refused: true}
	}
	return nil
}

// written is a message as the service takes it: its text, and its title if that is apart.
func (c *chat) written(m Message) (text, title string) {
	text, title = bounded(m.Text(harmless)), m.Title(harmless)
	if slices.Contains(untitled, strings.ToLower(c.url.Scheme)) {
		return title + "\n" + text, ""
	}
	return text, title
}

// deliver sends in a service's own way. A panic in there is an error like any other.
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

// bounded bounds a text to what every service takes in one message.
func bounded(s string) string {
	const most = 1900
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "\n…"
}

// silent is the library's log, which would show URLs.
type silent struct{}

func (silent) Print(...any)          {}
func (silent) Printf(string, ...any) {}
func (silent) Println(...any)        {}

// awake does not wait where the library would: trying again is the outbox's business.
type awake struct{}

func (awake) Sleep(time.Duration) {}
