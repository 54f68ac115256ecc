package notify

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	for name, tc := range map[string]struct {
		in   string
		want Message
	}{
		"status":                   {"STATUS=epoch 3 of 10", Message{Status: "epoch 3 of 10", HasStatus: true}},
		"empty status":             {"STATUS=", Message{HasStatus: true}},
		"several":                  {"READY=1\nSTATUS=up\nMAINPID=1\nX_OWN=2\n", Message{Ready: true, Status: "up", HasStatus: true}},
		"the last status counts":   {"STATUS=a\nSTATUS=b", Message{Status: "b", HasStatus: true}},
		"value with =":             {"STATUS=loss=0.5", Message{Status: "loss=0.5", HasStatus: true}},
		"watchdog":                 {"WATCHDOG=1", Message{Watchdog: true}},
		"watchdog of another kind": {"WATCHDOG=trigger", Message{}},
		"stopping":                 {"STOPPING=1", Message{Stopping: true}},
		"more time":                {"EXTEND_TIMEOUT_USEC=2500000", Message{Extend: 2500 * time.Millisecond}},
		"very much more time":      {"EXTEND_TIMEOUT_USEC=18446744073709551615", Message{Extend: maxExtend}},
		"more time than a number":  {"EXTEND_TIMEOUT_USEC=99999999999999999999999", Message{}},
		"less than no time":        {"EXTEND_TIMEOUT_USEC=-5", Message{}},
		"no key":                   {"hello\n\n=\n=x", Message{}},
		"keys have one spelling":   {"status=x\nReady=1\n READY=1\nREADY=yes", Message{}},
		"keeps descriptors":        {"FDSTORE=1\nFDNAME=x", Message{Stores: true}},
		"hostile text":             {"STATUS=\x1b[2Ja\x00b\xff\u202ec\r", Message{Status: "[2Ja b\uFFFD c", HasStatus: true}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, Parse([]byte(tc.in))); diff != "" {
				t.Error(diff)
			}
		})
	}
	long := Parse([]byte("STATUS=" + strings.Repeat("ä", 3000))).Status
	if len(long) > MaxStatus || len(long) < MaxStatus-4 || !strings.HasSuffix(long, "ä…") {
		t.Errorf("long status of %d bytes: %q", len(long), long)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("STATUS=a\nREADY=1"))
	f.Add([]byte("EXTEND_TIMEOUT_USEC=1\nSTATUS=\xff\xfe"))
	f.Fuzz(func(t *testing.T, in []byte) {
		m := Parse(in)
		if len(m.Status) > MaxStatus || !utf8.ValidString(m.Status) || strings.ContainsFunc(m.Status, unicode.IsControl) {
			t.Errorf("status %q", m.Status)
		}
		if m.Extend < 0 || m.Extend > maxExtend {
			t.Errorf("extend %s", m.Extend)
		}
	})
}

func TestPace(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	var p pace
	if !p.offer(at(0), "a") || p.offer(at(1), "a") || p.offer(at(2), "b") || p.offer(at(3), "c") {
		t.Error("the first is reported at once, what follows fast is held back")
	}
	if _, ok := p.take(at(999), false); ok || !p.due().Equal(at(1000)) {
		t.Errorf("reported too early, or due at %s", p.due())
	}
	if text, ok := p.take(at(1000), false); !ok || text != "c" || !p.due().IsZero() {
		t.Errorf("the last one wins: %q %v", text, ok)
	}
	if p.offer(at(1500), "d") || p.offer(at(1600), "c") {
		t.Error("both come too fast")
	}
	if _, ok := p.take(at(3000), true); ok {
		t.Error("c is what everybody knows")
	}
	p.offer(at(1700), "e")
	if text, ok := p.take(at(1701), true); !ok || text != "e" {
		t.Errorf("the end reports what was held back: %q %v", text, ok)
	}
	if !p.offer(at(2800), "f") {
		t.Error("after a pause a status is reported at once")
	}
}
