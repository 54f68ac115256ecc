package redact

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// printers are programs that print the variable VALUE in a form of their own.
var printers = [][]string{
	{"bash", "-c", `printf %q "$VALUE"`},
	{"bash", "-c", `echo "${VALUE@Q}"`},
	{"bash", "-c", `declare -p VALUE`},
	{"bash", "-c", `set -x; : "$VALUE"`},
	{"sh", "-c", `export -p | grep VALUE=`},
	{"sh", "-c", `set -x; : "$VALUE"`},
	{"sh", "-c", `printf %s "$VALUE" | base64`},
	{"sh", "-c", `printf %s "$VALUE" | base64 -w 20`},
	{"openssl", "enc", "-base64"},
	{"jq", "-nr", `env.VALUE | @json, @sh, @uri, @html, @base64, @csv "\([.])"`},
	{"python3", "-c", `import json, os, shlex; v = os.environ["VALUE"]; print(json.dumps(v)); print(json.dumps(v, ensure_ascii=False)); print(shlex.quote(v))`},
	{"python3", "-c", `import os, urllib.parse as u; v = os.environ["VALUE"]; print(u.quote(v)); print(u.quote_plus(v)); print(u.quote(v, safe=""))`},
	{"python3", "-c", `import base64, html, os; v = os.environ["VALUE"]; print(html.escape(v)); print(base64.encodebytes(v.encode()).decode()); print(base64.urlsafe_b64encode(v.encode()).decode())`},
	{"node", "-e", `const v = process.env.VALUE; console.log(JSON.stringify(v)); console.log(encodeURIComponent(v)); console.log(new URLSearchParams([[v, ""]]).toString())`},
	{"node", "-e", `const v = process.env.VALUE; console.log(Buffer.from(v).toString("base64")); console.log(Buffer.from(v).toString("base64url"))`},
	{"perl", "-MMIME::Base64", "-e", `print encode_base64($ENV{VALUE})`},
}

// around is the text around a value in these forms.
var around = regexp.MustCompile(`\b(declare|export|VALUE|x)\b|[-+:'"$=\s\\]`)

// What real programs print of a secret is masked, and nothing of it stays.
func TestProgramsThatPrintAValue(t *testing.T) {
	for _, words := range printers {
		if _, err := exec.LookPath(words[0]); err != nil {
			t.Logf("there is no %s to compare with: %v", words[0], err)
			continue
		}
		for _, value := range secretValues {
			cmd := exec.CommandContext(t.Context(), words[0], words[1:]...)
			cmd.Env = append(os.Environ(), "VALUE="+value, "LC_ALL=C.UTF-8")
			cmd.Stdin = strings.NewReader(value)
			out, err := cmd.CombinedOutput()
			if err != nil || len(out) == 0 {
				t.Fatalf("%q: %v: %s", words, err, out)
			}
			got := NewSet(Parts(value)).String(string(out))
			if left := around.ReplaceAllString(strings.ReplaceAll(got, Mark, ""), ""); left != "" || !strings.Contains(got, Mark) {
				t.Errorf("%q of %q: %q stays as %q, with %q", words, value, out, got, left)
			}
		}
	}
}
