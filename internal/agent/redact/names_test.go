package redact

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestLooksSecret(t *testing.T) {
	for name, want := range map[string]bool{
		"GITHUB_TOKEN": true, "GITHUBTOKEN": true, "github_token": true, "authToken": true,
		"npm_config_//npm.example.org/:_authToken": true,
		"PGPASSWORD": true, "MYSQL_PWD": true, "SSHPASS": true, "SMTP_PASS": true, "DB_PASSWD": true, "KEY_PASSPHRASE": true,
		"AWS_SECRET_ACCESS_KEY": true, "AWS_ACCESS_KEY_ID": true, "OPENAI_API_KEY": true, "apiKey": true,
		"SSH_PRIVATE_KEY": true, "CLIENT_SECRET": true, "SECRET_KEY_BASE": true, "SERVICE_CREDENTIALS": true, "AZURE_STORAGE_ACCOUNT_KEY": true,
		"PASSWORD_HASH": true,

		"": false, "_": false, "PATH": false, "HOME": false, "PWD": false, "OLDPWD": false, "KEY": false, "KEYBOARD": false,
		"PRIMARY_KEY": false, "TOKENIZERS_PARALLELISM": false, "SECRETARY": false, "PASSENGERS": false, "COMPASS_HEADING": false,
		"DB_PASSWORD_FILE": false, "SSH_KEY_PATH": false, "TOKEN_URL": false, "SECRET_NAME": false, "SSH_AUTH_SOCK": false,
	} {
		if got := LooksSecret(name); got != want {
			t.Errorf("LooksSecret(%q) = %v", name, got)
		}
	}
}

func TestFind(t *testing.T) {
	env := []string{
		"PATH=/usr/bin", "DB_PASSWORD=hunter22", "PIN_TOKEN=1234", "EMPTY_SECRET=", "PLAIN=visible value",
		"DATABASE_URL=postgres://ada:s3cr%2Ft-pw@db/x", "MY_TOKEN=not a secret",
	}
	got := Find(env, Choice{Also: []string{"PLAIN", "ABSENT"}, Except: []string{"MY_TOKEN"}})
	s := NewSet(got.Values)
	got.Values = nil
	want := Found{Names: []string{"DATABASE_URL", "DB_PASSWORD", "PLAIN"}, Short: []string{"PIN_TOKEN"}, Unknown: []string{"ABSENT"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	text := "hunter22|1234|visible value|s3cr/t-pw|s3cr%2Ft-pw|not a secret|postgres://ada:"
	if got, want := s.String(text), "[masked]|1234|[masked]|[masked]|[masked]|not a secret|postgres://ada:"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if none := Find(env, Choice{Except: []string{"*"}}); len(none.Values) != 0 {
		t.Errorf("with * taken off: %+v", none)
	}
	if one := Find(env, Choice{Also: []string{"PLAIN"}, Except: []string{"*"}}); !cmp.Equal(one.Names, []string{"PLAIN"}) {
		t.Errorf("with * taken off and one added: %+v", one)
	}
}

func TestLinesOfAValue(t *testing.T) {
	key := "-----BEGIN KEY-----\nMIIEowIBAAKCAQEA\nq1w2e3r4t5y6\n-----END KEY-----\n"
	s := NewSet(Forms(key))
	if got := s.String("  q1w2e3r4t5y6\r\nand MIIEowIBAAKCAQEA."); got != "  [masked]\r\nand [masked]." {
		t.Errorf("%q", got)
	}
	// A line that is too short to be masked alone is masked with its neighbours.
	s = NewSet(Forms("longer line\nab=="))
	if got := s.String("longer line\nab==\nab==\nlonger line"); got != "[masked]\nab==\n[masked]" {
		t.Errorf("%q", got)
	}
	if got := Forms("a\nb\nc"); len(got) != 0 {
		t.Errorf("five bytes: %q", got)
	}
}

// However a value is printed in base64, at most the characters that it shares with its
// neighbours stay.
func TestForms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.StringMatching(`[ -~]{8,40}`).Filter(func(s string) bool { return strings.TrimSpace(s) == s }).Draw(t, "value")
		before := rapid.StringMatching(`[a-z]{0,5}`).Draw(t, "before")
		after := rapid.StringMatching(`[a-z]{0,5}`).Draw(t, "after")
		s := NewSet(Forms(value))
		quoted, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{value, url.QueryEscape(value), url.PathEscape(value)} {
			if got := s.String(text); got != Mark {
				t.Errorf("%q stays as %q", text, got)
			}
		}
		if !strings.ContainsAny(value, "<>&") { // Go alone writes these in another way
			if got := s.String(string(quoted)); got != `"`+Mark+`"` {
				t.Errorf("%s stays as %s", quoted, got)
			}
		}
		for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
			got := s.String(enc.EncodeToString([]byte(before + value + after)))
			from := (len(before)*8 + 5) / 6
			left, right, found := strings.Cut(got, Mark)
			if !found || len(left) > from || len(right) > len(after)*8/6+4 {
				t.Errorf("%q + %q + %q in base64 stays as %q", before, value, after, got)
			}
		}
	})
}
