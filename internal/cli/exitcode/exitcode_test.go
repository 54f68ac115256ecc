package exitcode

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

// command returns a command of a program, by what follows the name of that.
func command(path string, asks bool) *cobra.Command {
	cmd := &cobra.Command{Use: "stint"}
	for name := range strings.FieldsSeq(path) {
		sub := &cobra.Command{Use: name, RunE: func(*cobra.Command, []string) error { return nil }}
		cmd.AddCommand(sub)
		cmd = sub
	}
	if asks {
		cmd.Flags().String("server", "", "")
	}
	return cmd
}

func TestOf(t *testing.T) {
	_, missing := os.Open("/nowhere")
	asks := map[string]struct {
		err  error
		code int
	}{
		"none":           {nil, 0},
		"plain":          {errors.New("there is no such line"), 1},
		"usage":          {fmt.Errorf("so: %w", option.Usagef("bad flag")), 2},
		"own code":       {&console.ExitError{Code: 77}, 77},
		"closed pipe":    {console.Broken(syscall.EPIPE), 141},
		"no answer":      {&client.UnreachableError{URL: "http://h", Err: syscall.ECONNREFUSED}, 3},
		"other program":  {fmt.Errorf("ask: %w", &client.ForeignReplyError{URL: "http://h", Status: 200}), 3},
		"other page 404": {&client.ForeignReplyError{URL: "http://h", Status: 404}, 3},
		"not found":      {&job.Problem{Status: http.StatusNotFound}, 1},
		"conflict":       {&job.Problem{Status: http.StatusConflict}, 1},
		"deleted":        {&job.Problem{Status: http.StatusGone}, 1},
		"invalid":        {&job.Problem{Status: http.StatusBadRequest}, 2},
		"invalid text":   {&job.Problem{Status: http.StatusUnprocessableEntity}, 2},
		"no token":       {&job.Problem{Status: http.StatusUnauthorized}, 3},
		"scope":          {&job.Problem{Status: http.StatusForbidden}, 3},
		"broken server":  {&job.Problem{Status: http.StatusInternalServerError}, 3},
		"bad name":       {&job.InvalidError{What: "job name"}, 2},
		"missing file":   {fmt.Errorf("read the policy: %w", missing), 2},
	}
	for name, c := range asks {
		if got := Of(command("runs", true), c.err); got != c.code {
			t.Errorf("%s: got %d, want %d", name, got, c.code)
		}
	}
	unreachable := &client.UnreachableError{URL: "http://h", Err: syscall.ECONNREFUSED}
	for _, cmd := range []*cobra.Command{nil, command("flush", true), command("wait", true), command("worker run", true), command("cache list", false)} {
		if got := Of(cmd, unreachable); got != 1 {
			t.Errorf("%v: got %d for no answer, want 1", cmd, got)
		}
	}
}

// Every code that Of returns for a command that asks is in its table.
func TestEveryCodeIsInTheTable(t *testing.T) {
	for status := 400; status < 600; status++ {
		code := fmt.Sprint(OfStatus(status))
		for _, path := range []string{"runs", "logs", "submit"} {
			if !slices.ContainsFunc(GroupOf(command(path, true)).Rows, func(r Row) bool { return r.Code == code }) {
				t.Errorf("%d: stint %s does not name %s", status, path, code)
			}
		}
	}
}
