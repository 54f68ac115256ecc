package notify

import (
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"unicode"

	"stint.dev/stint/internal/notify/message"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// none is a host without addresses.
func none() ([]net.Addr, error) { return nil, nil }

// A public address is refused when it is one of this host, also where IPv6 leads to it.
func TestOwnAddressesAreRefused(t *testing.T) {
	own := func() ([]net.Addr, error) {
		return []net.Addr{
			&net.IPNet{IP: net.ParseIP("8.8.8.8"), Mask: net.CIDRMask(24, 32)},
			&net.IPNet{IP: net.ParseIP("2606:4700::1111"), Mask: net.CIDRMask(64, 128)},
		}, nil
	}
	for address, refused := range map[string]bool{
		"8.8.8.8": true, "::ffff:8.8.8.8": true, "64:ff9b::808:808": true, "::ffff:0:8.8.8.8": true, "2606:4700::1111": true,
		"8.8.8.9": false, "2606:4700::1112": false,
	} {
		if err := checkPublic(netip.MustParseAddr(address), own); errors.Is(err, errOwnAddress) != refused {
			t.Errorf("%s: %v", address, err)
		}
	}
	broken := func() ([]net.Addr, error) { return nil, errors.New("no netlink") }
	if err := checkPublic(netip.MustParseAddr("8.8.8.8"), broken); err == nil {
		t.Error("a target was let through without a look at the own addresses")
	}
}

// hostile has characters that turn, hide, begin new lines or show nothing.
const hostile = "a\u202eb\u2066c\u200bd\u200de\u00adf\u034fg\u115fh\u3164i\uffa0j\ufe0fk\U000e0100l\U000e0041m\u2028n\r\no\x1b[31mp\x00q\ufeffr"

// No field of a message of any kind keeps a character that shows nothing by itself.
func TestNothingInvisibleIsSent(t *testing.T) {
	run := &job.Run{
		ID: "0199", Job: hostile, Number: 7, Host: hostile, Command: hostile, State: job.State(hostile),
		Labels: map[string]string{hostile: hostile}, Outcome: &job.Outcome{Reason: job.Reason(hostile)},
	}
	for _, what := range append(Events(), outbox.WhatTest, hostile) {
		for _, of := range []*job.Run{run, nil} {
			item := message.ItemOf(api.Action{What: what, Message: hostile, Ends: hostile, Repeat: 2}, of, "https://stint.example.org")
			item.Lines, item.Evidence = []string{hostile}, &job.Evidence{Text: hostile}
			m := message.New("team", 5, []message.Item{item, item}, true, at("11:00"))
			body, err := json.Marshal(m.Items)
			if err != nil {
				t.Fatal(err)
			}
			var texts []string
			collect(t, body, &texts)
			texts = append(texts, m.Title(message.Plain), strings.ReplaceAll(m.Text(message.Plain), "\n", ""))
			for _, text := range texts {
				if i := strings.IndexFunc(text, func(r rune) bool {
					return !unicode.IsGraphic(r) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) || unicode.Is(unicode.Variation_Selector, r)
				}); i >= 0 {
					t.Fatalf("%s: %q", what, text)
				}
			}
			if strings.ContainsAny(m.Title(message.Inert), "\r\n\u202e") || !strings.Contains(m.Text(message.Plain), "a") {
				t.Errorf("%s: title %q", what, m.Title(message.Inert))
			}
		}
	}
	if run.Host != hostile {
		t.Error("the run itself was changed")
	}
}

// collect returns every string and key in a JSON text.
func collect(t *testing.T, data []byte, to *[]string) {
	t.Helper()
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			*to = append(*to, v)
		case []any:
			for _, one := range v {
				walk(one)
			}
		case map[string]any:
			for key, one := range v {
				*to = append(*to, key)
				walk(one)
			}
		}
	}
	walk(v)
}

// Telegram reads no mark-up, whatever the URL asks for: a name such as nightly_backup would
// begin some that never ends, and be refused.
func TestTelegramGetsPlainText(t *testing.T) {
	for _, query := range []string{"", "&parsemode=Markdown", "&parsemode=MarkdownV2", "&ParseMode=markdown"} {
		raw := "telegram://110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaws@telegram?chats=@x" + query
		c, err := newChat("telegram", raw, guard{})
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		if q := c.url.Query(); len(q) != 1 || q.Get("chats") != "@x" {
			t.Errorf("%s: %v", query, q)
		}
	}
}
