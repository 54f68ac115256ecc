package definition

import (
	"fmt"
	"math"
	"path"
	"strconv"
	"strings"
	"time"

	"stint.dev/stint/internal/policy"
	"stint.dev/stint/internal/yaml"
	"stint.dev/stint/job"
)

// text reads a text that is not empty. check may refuse it.
func text(to *string, check func(string) error) func(yaml.Value) error {
	return func(v yaml.Value) error {
		written := ""
		err := textOrEmpty(&written, check)(v)
		if err == nil && written == "" {
			err = v.Wrong("the text is empty: write one, or leave the key out")
		}
		if err == nil {
			*to = written
		}
		return err
	}
}

func textOrEmpty(to *string, check func(string) error) func(yaml.Value) error {
	return func(v yaml.Value) error {
		if v.Empty() {
			return v.Wrong(`a value is missing: write one (an empty text is "", the word null "null"), or leave the key out`)
		}
		written, err := v.Text()
		if err != nil {
			return err
		}
		if strings.ContainsRune(written, 0) {
			return v.Wrong("the text has the character NUL, which no program can get")
		}
		if check != nil && written != "" {
			if err := check(written); err != nil {
				return v.Wrong("%s", err)
			}
		}
		*to = written
		return nil
	}
}

// texts reads a list of texts.
func texts(to *[]string, of string, most int, check func(string) error) func(yaml.Value) error {
	return func(v yaml.Value) error {
		return v.Items(of, func(i int, v yaml.Value) error {
			written := ""
			if err := text(&written, check)(v); err != nil {
				return err
			}
			if i >= most {
				return v.Wrong("%s has more than %d items", of, most)
			}
			*to = append(*to, written)
			return nil
		})
	}
}

func atMost(bytes int) func(string) error {
	return func(written string) error {
		if len(written) > bytes {
			return fmt.Errorf("the text has %d bytes, and may have %d", len(written), bytes)
		}
		return nil
	}
}

func oneOf[T ~string](to *T, known ...T) func(yaml.Value) error {
	return func(v yaml.Value) error {
		written := ""
		if err := textOrEmpty(&written, nil)(v); err != nil {
			return err
		}
		var names []string
		for _, k := range known {
			if string(k) == written {
				*to = k
				return nil
			}
			names = append(names, string(k))
		}
		return v.Wrong("%s is not known here: there is %s", job.Quote(written), strings.Join(names, ", "))
	}
}

// span reads a duration that is not zero.
func span(to *Duration) func(yaml.Value) error {
	return func(v yaml.Value) error {
		var d Duration
		err := spanOrZero(&d)(v)
		if err == nil && d == 0 {
			err = v.Wrong("0 is no time: leave the key out for no limit")
		}
		if err == nil {
			*to = d
		}
		return err
	}
}

func spanOrZero(to *Duration) func(yaml.Value) error {
	return func(v yaml.Value) error {
		written := ""
		if err := textOrEmpty(&written, nil)(v); err != nil {
			return err
		}
		d, err := policy.ParseSpan(written)
		switch {
		case err != nil:
			return v.Wrong("%s is not a duration such as 90s, 15m, 2h or 1d", job.Quote(written))
		case d < 0 || d.D() > longestDuration || d.D()%time.Millisecond != 0:
			return v.Wrong("%s is not between 0 and 366d, in milliseconds", job.Quote(written))
		}
		*to = Duration(d)
		return nil
	}
}

func size(to *Size) func(yaml.Value) error {
	return func(v yaml.Value) error {
		written := ""
		if err := textOrEmpty(&written, nil)(v); err != nil {
			return err
		}
		n, err := policy.ParseSize(written)
		if err != nil || n <= 0 || n > job.MaxBytes {
			return v.Wrong("%s is not a size such as 500M or 2GiB", job.Quote(written))
		}
		*to = Size(n)
		return nil
	}
}

func number(to *float64, low, high float64) func(yaml.Value) error {
	return func(v yaml.Value) error {
		written := ""
		if err := textOrEmpty(&written, nil)(v); err != nil {
			return err
		}
		n, err := strconv.ParseFloat(written, 64)
		if err != nil || math.IsNaN(n) || n < low || n > high {
			return v.Wrong("%s is not a number from %g to %g", job.Quote(written), low, high)
		}
		*to = n
		return nil
	}
}

func whole(to *int, low, high int) func(yaml.Value) error {
	return func(v yaml.Value) error {
		written := ""
		if err := textOrEmpty(&written, nil)(v); err != nil {
			return err
		}
		n, err := strconv.Atoi(written)
		if err != nil || n < low || n > high {
			return v.Wrong("%s is not a whole number from %d to %d", job.Quote(written), low, high)
		}
		*to = n
		return nil
	}
}

func checkDir(dir string) error {
	if !path.IsAbs(dir) || len(dir) > 4096 {
		return fmt.Errorf("%s is not the absolute path of a directory: begin it with /; without dir a job runs in the home of its worker's user", job.Quote(dir))
	}
	return nil
}

func checkGroup(name string) error {
	if err := job.CheckName(name); err != nil {
		return fmt.Errorf("%s cannot be a name: at most %d printable characters, none of # / \\", job.Quote(name), job.MaxNameBytes)
	}
	return nil
}

// checkZone refuses what is no name of a time zone. The zone of a host is none: it differs.
func checkZone(name string) error {
	if _, err := time.LoadLocation(name); err != nil || name == "Local" {
		return fmt.Errorf("%s is no name of a time zone such as Europe/Berlin or UTC", job.Quote(name))
	}
	return nil
}
