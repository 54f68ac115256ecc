package agentcmd

import (
	"fmt"

	"stint.dev/stint/internal/cli/option"
)

// minSpool is the least that --spool-limit may say: a few records of the largest kind.
const minSpool = 1 << 20

// spoolRow returns the option that bounds a run's journal on disk.
func spoolRow() option.Option {
	return option.Option{Name: "spool-limit", Kind: option.Size, Value: "SIZE", Default: "1GiB", Effect: option.Describes, Check: checkSpoolLimit, Help: "limit of the journal on disk that the server does not have yet; beyond it the head and the tail of the output are kept, and the rest is recorded as a gap; also the limit of output that waits for the readers of stint run's stdout and stderr"}
}

func checkSpoolLimit(text string) error {
	if n, err := option.ParseSize(text); err == nil && n < minSpool {
		return fmt.Errorf("%s is less than 1MiB", text)
	}
	return nil
}
