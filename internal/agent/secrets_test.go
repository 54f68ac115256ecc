package agent

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stint.dev/stint/internal/agent/redact"
	"stint.dev/stint/job"
)

const (
	testSecret = "hunter22-horse"
	testToken  = "stint_token-of-this-test"
)

// secretConfig is an attempt whose environment holds a secret and the server's token.
func secretConfig(t *testing.T, script string) (Config, *says) {
	t.Helper()
	c, messages := config(t, nil, script)
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "DB_PASSWORD=" + testSecret, "STINT_TOKEN=" + testToken, "PIN_TOKEN=123"}
	c.Token = testToken
	return c, messages
}

// noTrace reads every file below dir and finds none of the secrets in it.
func noTrace(t *testing.T, dir string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		b, err := os.ReadFile(p)
		for _, secret := range []string{testSecret, testToken, testSecret[2:]} {
			if i := bytes.Index(b, []byte(secret)); i >= 0 {
				t.Errorf("%s holds %q: …%q", p, secret, b[max(0, i-60):min(len(b), i+60)])
			}
		}
		return err
	})
	if err != nil || files == 0 {
		t.Fatalf("%d files below %s: %v", files, dir, err)
	}
}

func TestSecretsNeverReachTheJournal(t *testing.T) {
	// Each printf is a write of its own; the pauses make them reads of their own, too.
	c, messages := secretConfig(t, `
		printf 'out hunt'; sleep 0.05; printf 'er22-'; sleep 0.05; printf 'horse.\n'
		printf "$DB_PASSWORD$DB_PASSWORD" >&2; printf ' hunter22-' >&2
		echo "token [$STINT_TOKEN]"`)
	c.Args = append(c.Args, "--password="+testSecret, testToken)
	c.Install = []string{"echo install " + testSecret}
	c.Labels = map[string]string{"of": "x" + testSecret}
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	c.Quiet, c.Stdout = false, in
	got := Run(t.Context(), c)
	in.Close()
	if got.ExitCode != 0 || got.WaitsAt == "" {
		t.Fatalf("result %+v, messages %q", got, messages.text())
	}
	noTrace(t, c.StateDir)
	journalBytes, err := os.ReadFile(filepath.Join(got.WaitsAt, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	v := readJournal(t, journalBytes)
	for key, want := range map[streamKey]string{
		{0, job.Stdout}: "install [masked]\n",
		{1, job.Stdout}: "out [masked].\ntoken []\n",
		{1, job.Stderr}: "[masked] hunter22-", // the second is not the whole value
	} {
		if got := string(v.output[key]); got != want {
			t.Errorf("%v: %q, want %q", key, got, want)
		}
	}
	if a := v.attempt; a.Labels["of"] != "x[masked]" || a.Install[0] != "echo install [masked]" ||
		a.Args[len(a.Args)-2] != "--password=[masked]" || a.Args[len(a.Args)-1] != "[masked]" {
		t.Errorf("attempt %+v", a)
	}
	if !strings.HasSuffix(v.started[1].Command, "[masked]'") && !strings.HasSuffix(v.started[1].Command, "[masked]") {
		t.Errorf("command %s", v.started[1].Command)
	}
	notes := strings.Join(v.notes, "\n")
	if !strings.Contains(notes, "the value of DB_PASSWORD") || !strings.Contains(notes, "shorter than 6 bytes: the value of PIN_TOKEN") {
		t.Errorf("notes %q", notes)
	}
	passed, err := io.ReadAll(out)
	if err != nil || string(passed) != "install [masked]\nout [masked].\ntoken []\n" {
		t.Errorf("passed on %q, error %v", passed, err)
	}
}

func TestSecretInAnOutcomeAndOnTheServer(t *testing.T) {
	s := newMemoryServer()
	c, messages := secretConfig(t, "")
	c.Server, c.Args = s, []string{"/no/such/" + testSecret}
	got := Run(t.Context(), c)
	if got.Outcome.Reason != job.CouldNotStart || !strings.Contains(got.Outcome.Message, "/no/such/"+redact.Mark) {
		t.Errorf("outcome %+v", got.Outcome)
	}
	v := s.read(t, testRun)
	if text := v.ended[0].Outcome.Message + v.final.Outcome.Message + messages.text(); strings.Contains(text, testSecret) {
		t.Errorf("the secret is shown: %q", text)
	}
	if data := s.journals[testRun]; bytes.Contains(data, []byte(testSecret)) {
		t.Error("the server has the secret")
	}
}

func TestChosenNames(t *testing.T) {
	s := newMemoryServer()
	c, _ := secretConfig(t, `echo "$DB_PASSWORD $PLAIN"; echo `+testToken)
	c.Server, c.Env = s, append(c.Env, "PLAIN=not so plain")
	c.Redact, c.NoRedact = []string{"PLAIN", "ABSENT"}, []string{"*"}
	Run(t.Context(), c)
	v := s.read(t, testRun)
	if out := string(v.output[streamKey{0, job.Stdout}]); out != testSecret+" [masked]\n[masked]\n" {
		t.Errorf("stdout %q: the token is masked always", out)
	}
	if notes := strings.Join(v.notes, "\n"); !strings.Contains(notes, "does not have: ABSENT") {
		t.Errorf("notes %q", notes)
	}
}

// A mask that grows the output makes more than one record of one read.
func TestManyMaskedBytes(t *testing.T) {
	s := newMemoryServer()
	c, _ := secretConfig(t, `yes "$SHORT_TOKEN" | head -n 200000`)
	c.Server, c.Env = s, append(c.Env, "SHORT_TOKEN=abcdef")
	if got := Run(t.Context(), c); !got.Complete {
		t.Fatalf("result %+v", got)
	}
	out := s.read(t, testRun).output[streamKey{0, job.Stdout}]
	if want := bytes.Repeat([]byte(redact.Mark+"\n"), 200000); !bytes.Equal(out, want) {
		t.Errorf("%d bytes, want %d", len(out), len(want))
	}
}
