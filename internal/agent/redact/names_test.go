package redact

import (
	"encoding/base64"
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
		"PASSWORD_HASH": true, "TOKEN_COUNTERSIGN": true, "USER_PASSWORD": true,

		"MAX_TOKENS": false, "MIN_TOKENS": false, "NUM_SECRETS": false, "COUNT_TOKENS": false, "DISABLE_API_KEY": false, "ENABLE_PASSWORD": false,
		"USE_AUTH_TOKEN": false, "TOKEN_PROVIDER": false, "CREDENTIALS_DIRECTORY": false, "TOKEN_LIMIT": false, "PASSWORD_LENGTH": false,
		"TOKEN_COUNT": false, "TOKEN_TTL": false, "TOKEN_EXPIRES": false, "max-tokens": false,

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
	got := Find(env, Options{Also: []string{"PLAIN", "ABSENT"}, Except: []string{"MY_TOKEN"}})
	s := NewSet(got.Values)
	got.Values = nil
	want := EnvironmentSecrets{Names: []string{"DATABASE_URL", "DB_PASSWORD", "PLAIN"}, Short: []string{"PIN_TOKEN"}, Unknown: []string{"ABSENT"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	text := "hunter22|1234|visible value|s3cr/t-pw|s3cr%2Ft-pw|not a secret|postgres://ada:"
	if got, want := s.String(text), "[masked]|1234|[masked]|[masked]|[masked]|not a secret|postgres://ada:"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if none := Find(env, Options{Except: []string{"*"}}); len(none.Values) != 0 {
		t.Errorf("with * taken off: %+v", none)
	}
	if one := Find(env, Options{Also: []string{"PLAIN"}, Except: []string{"*"}}); !cmp.Equal(one.Names, []string{"PLAIN"}) {
		t.Errorf("with * taken off and one added: %+v", one)
	}
}

func TestHarmlessValues(t *testing.T) {
	exists := func(path string) bool { return path == "/etc/creds.json" }
	for kv, want := range map[string]bool{
		"AUTH_TOKEN=true": false, "AUTH_TOKEN=FALSE": false, "API_KEY=off": false,
		"GOOGLE_APPLICATION_CREDENTIALS=/etc/creds.json": false, "GOOGLE_APPLICATION_CREDENTIALS=/etc/none.json": true,
		"API_TOKEN=/etc/creds.json": false, "API_TOKEN=etc/creds.json": true,
		"DB_PASSWORD=/etc/creds.json": true, "API_KEY=/etc/creds.json": true, "CLIENT_SECRET=/etc/creds.json": true,
		"SMTP_PASS=/etc/creds.json": true, "KEY_PASSPHRASE=/etc/creds.json": true, "DB_PASSWD=/etc/creds.json": true,
	} {
		found := Find([]string{kv}, Options{Exists: exists})
		if got := len(found.Values) > 0; got != want {
			t.Errorf("%s is masked: %v", kv, got)
		}
		name, _, _ := strings.Cut(kv, "=")
		if found = Find([]string{kv}, Options{Also: []string{name}, Exists: exists}); len(found.Values)+len(found.Short) == 0 {
			t.Errorf("%s is not masked although the caller wants it", kv)
		}
	}
}

func TestURLCredentials(t *testing.T) {
	for text, want := range map[string][]string{
		"": nil, "no url": nil, "https://host/path@x": nil, "https://host": nil, "://": nil, "https://@host": nil,
		"https://ghp_abcdef@github.com/x":                         {"ghp_abcdef"},
		"https://ghp_abcdef:@host":                                {"ghp_abcdef"},
		"https://ghp_abcdef:x-oauth-basic@host":                   {"ghp_abcdef"},
		"git+https://ghp_abcdef@host/x.git":                       {"ghp_abcdef"},
		"HTTP://tok%2Fen1@h":                                      {"tok%2Fen1", "tok/en1"},
		"https://oauth2:glpat-1@host":                             {"glpat-1"},
		"postgres://postgres@host/db":                             nil,
		"ssh://deploy@host":                                       nil,
		"redis://:hunter22@host":                                  {"hunter22"},
		"postgres://ada:p@ss-word@host":                           {"p@ss-word"},
		"a=https://u:secret1@h/x,b=https://u:secret2@h":           {"secret1", "secret2"},
		"https://u:secret1@h,https://secret2@h https://secret3@h": {"secret1", "secret2", "secret3"},
		`{"a":"https://u:secret1@h","b":"https://secret2@h"}`:     {"secret1", "secret2"},
		"https://u:pw@h":                                          nil, // too short
	} {
		if d := cmp.Diff(want, URLCredentials(text)); d != "" {
			t.Errorf("%s: %s", text, d)
		}
	}
}

func TestLinesOfAValue(t *testing.T) {
	key := "-----BEGIN KEY-----\nMIIEowIBAAKCAQEA\nq1w2e3r4t5y6\n-----END KEY-----\n"
	s := NewSet(Parts(key))
	if got := s.String("  q1w2e3r4t5y6\r\nand MIIEowIBAAKCAQEA."); got != "  [masked]\r\nand [masked]." {
		t.Errorf("%q", got)
	}
	// A line that is too short to be masked alone is masked with its neighbours.
	s = NewSet(Parts("longer line\nab=="))
	if got := s.String("longer line\nab==\nab==\nlonger line"); got != "[masked]\nab==\n[masked]" {
		t.Errorf("%q", got)
	}
	if got := Parts("a\nb\nc"); len(got) != 0 {
		t.Errorf("five bytes: %q", got)
	}
}

// However a value is printed in base64, at most the characters that it shares with its
// neighbours stay.
func TestBase64InTheMiddle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.StringMatching(`[ -~]{8,40}`).Filter(func(s string) bool { return strings.TrimSpace(s) == s }).Draw(t, "value")
		before := rapid.StringMatching(`[a-z]{0,5}`).Draw(t, "before")
		after := rapid.StringMatching(`[a-z]{0,5}`).Draw(t, "after")
		s := NewSet(Parts(value))
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
